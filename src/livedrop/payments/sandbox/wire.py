"""What the sandbox and its adapter say to each other: paths, the webhook's body, and its secret."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from livedrop.kit.signed_webhooks import signature_fits, signature_headers
from livedrop.payments.provider import BadSignature, MalformedWebhook, PaymentEvent

WEBHOOK_PATH = "/api/v1/payments/webhooks/sandbox"
CHARGES_PATH = "/charges/"

# An event takes at most 270 bytes as JSON, and the API reads no body beyond 64 KiB.
WEBHOOK_EVENTS_MAX = 200


class Webhook(msgspec.Struct, frozen=True):
    """The body of a webhook: several events at once, in no promised order."""

    events: Annotated[list[PaymentEvent], Meta(min_length=1, max_length=WEBHOOK_EVENTS_MAX)]


_decoder = msgspec.json.Decoder(Webhook)


def webhook_secret(secret_key: str) -> bytes:
    """The secret that signs the sandbox's webhooks, derived from one of the settings' secret keys."""
    return hmac.digest(secret_key.encode(), b"livedrop: sandbox webhooks", hashlib.sha256)


def sign_webhook(secret: bytes, events: Sequence[PaymentEvent]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a webhook, signed now. The same events have the same webhook-id at every try."""
    body = msgspec.json.encode(Webhook(list(events)))
    message_id = f"msg_{hashlib.blake2b(body, digest_size=16).hexdigest()}"
    return {
        "content-type": "application/json",
        **signature_headers(secret, message_id, body, time.time()),
    }, body


def read_webhook(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes) -> list[PaymentEvent]:
    """The events of a signed webhook; raises `BadSignature` or `MalformedWebhook`."""
    if not signature_fits(secrets, headers, body, time.time()):
        raise BadSignature
    try:
        return _decoder.decode(body).events
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedWebhook(f"The webhook can't be read: {error}.") from None
