"""Idempotency keys: their form, and what tells two requests under one key apart."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from livedrop.kit.refusals import Refusal

_BARE = re.compile(rb"[\x20-\x7e]{1,255}").fullmatch


class KeyMissing(Refusal):
    """Send an Idempotency-Key header, so that a retry can't order twice."""

    code, status = "idempotency_key_missing", 400


class KeyInvalid(Refusal):
    """An Idempotency-Key has 1 to 255 printable ASCII characters, bare or in double quotes."""

    code, status = "idempotency_key_invalid", 400


class KeyReused(Refusal):
    """This Idempotency-Key was used for another request; take a new key."""

    code, status = "idempotency_key_reused", 422


class RequestInProgress(Refusal):
    """The first request with this Idempotency-Key is still running; ask again in a moment."""

    code, status = "request_in_progress", 409

    def __init__(self) -> None:
        super().__init__(retry_after_seconds=1)


def parse_key(header: bytes | None) -> str:
    """The key in the header's value: a Structured Fields string (RFC 8941 §3.3.3) or the same, bare."""
    if header is None:
        raise KeyMissing
    value = header.strip(b" \t")
    if value[:1] == b'"':
        if len(value) < 2 or value[-1:] != b'"':
            raise KeyInvalid
        value = re.sub(rb'\\(["\\])', rb"\1", value[1:-1])
    if not _BARE(value):
        raise KeyInvalid
    return value.decode("ascii")


def fingerprint(operation: str, body: Any) -> bytes:
    """16 bytes that tell two requests apart: the operation and every field of its decoded body."""
    return hashlib.blake2b(
        operation.encode() + b"\0" + msgspec.json.encode(body, order="deterministic"), digest_size=16
    ).digest()
