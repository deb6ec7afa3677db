"""Who is asking: the caller behind a bearer token (RFC 6750), verified once and remembered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from litestar.connection import ASGIConnection

from livedrop.kit.refusals import Forbidden, Refusal

REMEMBERED_TOKENS_MAX = 100_000
# What is remembered is the header as it was sent: a token of ours with its scheme, and nothing longer.
AUTHORIZATION_BYTES_MAX = 1_100


class Caller(msgspec.Struct, frozen=True):
    """The signed-in user of a request; `expires_at` is the token's end in Unix seconds."""

    user_id: UUID
    session_id: UUID
    expires_at: float


class AuthRequired(Refusal):
    """Sign in first: send `Authorization: Bearer <access token>`."""

    code, status = "auth_required", 401
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class Guard:
    """Tells who calls. A token's signature costs more than the rest of a request, so each is verified once.

    `verify` reads a token or raises `AuthRequired`. A remembered token is never trusted past its end, nor after
    its session was revoked (`forget`).
    """

    def __init__(self, verify: Callable[[str], Caller]) -> None:
        self._verify = verify
        self._remembered: dict[bytes, Caller] = {}
        self._revoked: dict[UUID, float] = {}  # session → when the last of its access tokens has ended

    def caller(self, authorization: bytes | None) -> Caller:
        """The caller of this Authorization header; raises `AuthRequired`."""
        if authorization is None:
            raise AuthRequired
        caller = self._remembered.get(authorization)
        if caller is None:
            caller = self._read(authorization)
        if caller.expires_at <= time.time():
            self._remembered.pop(authorization, None)
            raise AuthRequired("The access token has ended; use the refresh token to get a new one.")
        if caller.session_id in self._revoked:
            raise AuthRequired("This session was ended; sign in again.")
        return caller

    def caller_or_none(self, authorization: bytes | None) -> Caller | None:
        """The caller, or None for a request that bears no token; a bad token is still refused."""
        return None if authorization is None else self.caller(authorization)

    def of(self, request: ASGIConnection[Any, Any, Any, Any]) -> Caller:
        """The caller of a Litestar request."""
        return self.caller(_authorization(request))

    def of_or_none(self, request: ASGIConnection[Any, Any, Any, Any]) -> Caller | None:
        return self.caller_or_none(_authorization(request))

    def forget(self, sessions: Iterable[UUID], until: float) -> None:
        """Refuses the access tokens of these revoked sessions; `until`: when the last of them has ended anyway."""
        now = time.time()
        for session in [session for session, end in self._revoked.items() if end <= now]:
            del self._revoked[session]
        for session in sessions:
            self._revoked[session] = until

    def _read(self, authorization: bytes) -> Caller:
        if len(authorization) > AUTHORIZATION_BYTES_MAX:
            raise AuthRequired("The Authorization header is too long.")
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise AuthRequired
        try:
            caller = self._verify(token.strip().decode("ascii"))
        except UnicodeDecodeError:
            raise AuthRequired from None
        if len(self._remembered) >= REMEMBERED_TOKENS_MAX:
            del self._remembered[next(iter(self._remembered))]  # the oldest
        self._remembered[authorization] = caller
        return caller


def require_self(caller: Caller, user_id: UUID) -> None:
    """Refuses acting for somebody else."""
    if caller.user_id != user_id:
        raise Forbidden("You can do this for yourself only.")


def _authorization(request: ASGIConnection[Any, Any, Any, Any]) -> bytes | None:
    value = request.headers.get("authorization")
    return None if value is None else value.encode("latin-1")
