"""Signed webhooks as the Standard Webhooks specification 1.0 describes them (standardwebhooks.com).

Signed is `id.timestamp.body` with HMAC-SHA256; the signature is said as `v1,` and base64. A header may bear several,
separated by spaces, while a secret is being rotated.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

TOLERANCE_SECONDS = 300
SIGNATURES_MAX = 8

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


def signature_headers(secret: bytes, message_id: str, body: bytes, now: float) -> dict[str, str]:
    """The three headers of a webhook; `now` in Unix seconds, said anew at every try."""
    moment = str(int(now))
    return {ID: message_id, TIMESTAMP: moment, SIGNATURE: _signature(secret, message_id, moment, body).decode()}


def signature_fits(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether one of `secrets` signed this body, at most five minutes away from `now`. Header names in lower case."""
    message_id, moment = headers.get(ID), headers.get(TIMESTAMP, "")
    if message_id is None or not _is_near(moment, now):
        return False
    said = [one.encode("utf-8", "replace") for one in headers.get(SIGNATURE, "").split(" ", SIGNATURES_MAX)]
    return any(
        hmac.compare_digest(_signature(secret, message_id, moment, body), one)
        for secret in secrets
        for one in said[:SIGNATURES_MAX]
    )


def _is_near(moment: str, now: float) -> bool:
    # Bounded first: int() of a million digits takes seconds.
    return len(moment) <= 12 and moment.isascii() and moment.isdigit() and abs(now - int(moment)) <= TOLERANCE_SECONDS


def _signature(secret: bytes, message_id: str, moment: str, body: bytes) -> bytes:
    signed = f"{message_id}.{moment}.".encode("utf-8", "replace") + body
    return b"v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256))
