"""Refresh tokens: opaque to clients; of their secret we keep a digest only.

A token holds its session's id, 32 random bytes, and a mark that shows it was made here. The mark is what lets us
know a token of long ago for a stolen or forgotten one, without keeping every token that ever was.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from uuid import UUID

import msgspec

from livedrop.accounts.keys import derived_key

SECRET_BYTES = 32
_ID_BYTES = 16
_MARK_BYTES = 16


class Presented(msgspec.Struct, frozen=True):
    """A refresh token as it came in; `ours`: we made it, once, for this session."""

    session_id: UUID
    secret: bytes
    ours: bool

    @property
    def digest(self) -> bytes:
        return digest(self.secret)


class RefreshTokens:
    """Writes and reads refresh tokens. Whether one counts is the session's to say (`rules.judge`)."""

    def __init__(self, secret_keys: Sequence[str]) -> None:
        self._keys = [derived_key(secret, b"refresh tokens") for secret in secret_keys]

    def write(self, session_id: UUID, secret: bytes) -> str:
        body = session_id.bytes + secret
        return base64.urlsafe_b64encode(body + _mark(self._keys[0], body)).rstrip(b"=").decode()

    def read(self, token: str) -> Presented | None:
        """What the token holds, or None where it has not the form of one."""
        try:
            raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            return None
        if len(raw) != _ID_BYTES + SECRET_BYTES + _MARK_BYTES:
            return None
        body, mark = raw[:-_MARK_BYTES], raw[-_MARK_BYTES:]
        ours = any(hmac.compare_digest(mark, _mark(key, body)) for key in self._keys)
        return Presented(UUID(bytes=body[:_ID_BYTES]), body[_ID_BYTES:], ours)


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def digest(secret: bytes) -> bytes:
    """What is stored of a secret. It has 256 random bits, so it needs no slow hash."""
    return hashlib.sha256(secret).digest()


def seal(successor: bytes, secret: bytes) -> bytes:
    """The successor's secret, readable only with its predecessor's, which we don't keep (seal again to open).

    A one-time pad: each secret has one successor.
    """
    pad = hashlib.blake2b(secret, digest_size=SECRET_BYTES, person=b"sealed successor").digest()
    return bytes(one ^ other for one, other in zip(successor, pad, strict=True))


def _mark(key: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, key=key, digest_size=_MARK_BYTES).digest()
