"""Access tokens: short-lived JWTs of one fixed form (RFC 8725, RFC 9068)."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import jwt

from livedrop.accounts.keys import derived_key
from livedrop.accounts.refresh_tokens import RefreshTokens
from livedrop.kit.ids import parse_id
from livedrop.web.guards import AuthRequired, Caller

ALGORITHM = "HS256"
TYPE = "at+jwt"
ISSUER = "livedrop"
AUDIENCE = "livedrop-api"
CLAIMS = ["iss", "aud", "sub", "sid", "iat", "exp"]

ACCESS_SECONDS = 15 * 60
# Between the clocks of two hosts: a token may be used the moment that it was made elsewhere.
CLOCK_SKEW_SECONDS = 5
TOKEN_CHARACTERS_MAX = 1_000


class Tokens:
    """Makes and reads access tokens; `refresh` does the same for refresh tokens.

    Of `secret_keys` the first signs and all verify, so a key is changed by putting the new one in front and
    taking the old one away when the last of its access tokens has ended.
    """

    def __init__(self, secret_keys: Sequence[str]) -> None:
        assert secret_keys, "there is a secret to sign with"
        keys = [derived_key(secret, b"access tokens") for secret in secret_keys]
        self._keys = {_key_id(key): key for key in keys}
        self._signing_key_id, self._signing_key = _key_id(keys[0]), keys[0]
        self.refresh = RefreshTokens(secret_keys)

    def issue(self, user_id: UUID, session_id: UUID, *, lifetime_seconds: int = ACCESS_SECONDS) -> str:
        """A new access token for this user's session."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": now,
            "exp": now + lifetime_seconds,
            "jti": secrets.token_urlsafe(9),  # no two tokens are the same, made in the same second or not
        }
        headers = {"typ": TYPE, "kid": self._signing_key_id}
        return jwt.encode(claims, self._signing_key, algorithm=ALGORITHM, headers=headers)

    def verify(self, token: str) -> Caller:
        """Who bears this token; raises `AuthRequired` for whatever is not one of ours in every detail."""
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise AuthRequired
        try:
            claims = jwt.decode(
                token,
                self._key_for(jwt.get_unverified_header(token)),
                algorithms=[ALGORITHM],  # never what the token's own header asks for
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": CLAIMS, "strict_aud": True},
            )
        except jwt.PyJWTError:
            raise AuthRequired from None
        user_id, session_id = parse_id(str(claims["sub"])), parse_id(str(claims["sid"]))
        if user_id is None or session_id is None:
            raise AuthRequired
        return Caller(user_id, session_id, float(claims["exp"]))

    def _key_for(self, header: dict[str, Any]) -> bytes:
        key = self._keys.get(header.get("kid", ""))
        if key is None or header.get("typ") != TYPE:
            raise AuthRequired
        return key


def _key_id(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=8, person=b"key id").hexdigest()
