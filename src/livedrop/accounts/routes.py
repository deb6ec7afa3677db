"""REST: registering, signing in and out, and profiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get, patch, post
from litestar.datastructures import ResponseHeader
from litestar.params import FromPath, JSONBody
from litestar.types import ControllerRouterHandler

from livedrop.accounts.account import Account, RefreshToken, SignedIn
from livedrop.accounts.errors import EmailTaken, SessionEnded, WrongCredentials
from livedrop.accounts.login import Credentials, login
from livedrop.accounts.login_in_development import DevelopmentLogins
from livedrop.accounts.logout import logout
from livedrop.accounts.passwords import Passwords
from livedrop.accounts.refresh import refresh
from livedrop.accounts.register import NewAccount, register
from livedrop.accounts.rules import Network
from livedrop.accounts.show import account_of, own_account
from livedrop.accounts.throttle import Throttle
from livedrop.accounts.tokens import Tokens
from livedrop.accounts.update import AccountChange, update_account
from livedrop.kit.clock import rfc3339
from livedrop.kit.database import Database
from livedrop.web.fields import Name, SaidMoment
from livedrop.web.guards import AuthRequired, Caller, Guard
from livedrop.web.problems import RateLimited

# Nothing on the way may keep an answer that holds tokens (RFC 6749 §5.1).
_NO_STORE = [ResponseHeader(name="Cache-Control", value="no-store")]


class RefreshRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    refresh_token: RefreshToken


class LogoutRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With its refresh token a session can be ended after its access token has run out."""

    refresh_token: RefreshToken | None = None


class DevelopmentLogin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    handle: Name


class OwnAccountAnswer(msgspec.Struct, kw_only=True):
    """One's own account; `email` is null for a user of the development login."""

    id: UUID
    name: str
    email: str | None
    created_at: SaidMoment


class AccountAnswer(msgspec.Struct, kw_only=True):
    """Another's account, as everybody may see it."""

    id: UUID
    name: str
    created_at: SaidMoment


class SignedInAnswer(msgspec.Struct, kw_only=True):
    """A pair of tokens; the access token ends after `expires_in` seconds, the refresh token works once."""

    user: OwnAccountAnswer
    access_token: str
    refresh_token: str
    expires_in: int


class DevelopmentAnswer(msgspec.Struct, kw_only=True):
    token: str
    user_id: UUID


def _own(account: Account) -> OwnAccountAnswer:
    return OwnAccountAnswer(
        id=account.id, name=account.name, email=account.email, created_at=rfc3339(account.created_at)
    )


def _signed_in(done: SignedIn) -> SignedInAnswer:
    return SignedInAnswer(
        user=_own(done.account),
        access_token=done.access_token,
        refresh_token=done.refresh_token,
        expires_in=done.expires_in_seconds,
    )


def _host(request: Request[Any, Any, Any]) -> str | None:
    """The peer's address. X-Forwarded-For is not believed: anybody can write one."""
    return None if request.client is None else request.client.host


def _caller_if_any(guard: Guard, request: Request[Any, Any, Any]) -> Caller | None:
    """The caller, or None also where the access token has ended: the refresh token says enough."""
    try:
        return guard.of_or_none(request)
    except AuthRequired:
        return None


def routes(
    database: Database,
    guard: Guard,
    tokens: Tokens,
    passwords: Passwords,
    *,
    limits_exempt: Sequence[Network],
    development: bool,
) -> list[ControllerRouterHandler]:
    throttle = Throttle(database, limits_exempt)

    @post(
        "/auth/register",
        status_code=201,
        tags=["accounts"],
        summary="Register",
        response_headers=_NO_STORE,
        opt={"refuses": (EmailTaken, RateLimited)},
    )
    async def post_register(request: Request[Any, Any, Any], data: JSONBody[NewAccount]) -> SignedInAnswer:
        """Makes an account and signs it in."""
        done = await register(database, tokens, passwords, throttle, data, _host(request))
        return _signed_in(done)

    @post(
        "/auth/login",
        status_code=200,
        tags=["accounts"],
        summary="Sign in",
        response_headers=_NO_STORE,
        opt={"refuses": (WrongCredentials, RateLimited)},
    )
    async def post_login(request: Request[Any, Any, Any], data: JSONBody[Credentials]) -> SignedInAnswer:
        """After too many failures an account, or an address, has to wait."""
        done = await login(database, tokens, passwords, throttle, data, _host(request))
        return _signed_in(done)

    @post(
        "/auth/refresh",
        status_code=200,
        tags=["accounts"],
        summary="Get new tokens",
        response_headers=_NO_STORE,
        opt={"refuses": (SessionEnded,)},
    )
    async def post_refresh(data: JSONBody[RefreshRequest]) -> SignedInAnswer:
        """A refresh token works once; using it again later ends its session. If this answer is lost, ask again
        within half a minute.
        """
        return _signed_in(await refresh(database, tokens, guard, data.refresh_token))

    # Either token will do, so none of them is required.
    @post("/auth/logout", status_code=204, tags=["accounts"], summary="Sign out", security=[{"bearer": []}, {}])
    async def post_logout(request: Request[Any, Any, Any], data: JSONBody[LogoutRequest | None] = None) -> None:
        """Ends the session of the access token, and that of the refresh token, if one is given."""
        refresh_token = None if data is None else data.refresh_token
        caller = guard.of(request) if refresh_token is None else _caller_if_any(guard, request)
        await logout(database, tokens, guard, caller, refresh_token)

    @get("/users/me", tags=["accounts"], summary="One's own profile", security=[{"bearer": []}])
    async def get_own_account(request: Request[Any, Any, Any]) -> OwnAccountAnswer:
        caller = guard.of(request)
        async with database.connection() as connection:
            return _own(await own_account(connection, caller))

    @patch("/users/me", tags=["accounts"], summary="Change one's profile", security=[{"bearer": []}])
    async def patch_own_account(request: Request[Any, Any, Any], data: JSONBody[AccountChange]) -> OwnAccountAnswer:
        return _own(await update_account(database, guard.of(request), data))

    @get(
        "/users/{user_id:uuid}",
        tags=["accounts"],
        summary="A user's profile",
        opt={"refuses": (AuthRequired,)},
    )
    async def get_account(request: Request[Any, Any, Any], user_id: FromPath[UUID]) -> AccountAnswer:
        guard.of_or_none(request)
        async with database.connection() as connection:
            account = await account_of(connection, user_id)
        return AccountAnswer(id=account.id, name=account.name, created_at=rfc3339(account.created_at))

    found: list[ControllerRouterHandler] = [
        post_register,
        post_login,
        post_refresh,
        post_logout,
        get_own_account,
        patch_own_account,
        get_account,
    ]
    return [*found, _development_route(DevelopmentLogins(database, tokens))] if development else found


def _development_route(logins: DevelopmentLogins) -> ControllerRouterHandler:
    """In production this route is not there at all."""

    @post(
        "/users/auth/dev",
        status_code=200,
        tags=["accounts"],
        summary="Sign in under any handle (development mode only)",
        response_headers=_NO_STORE,
    )
    async def post_development_login(data: JSONBody[DevelopmentLogin]) -> DevelopmentAnswer:
        done = await logins.login(data.handle.strip())
        return DevelopmentAnswer(token=done.token, user_id=done.user_id)

    return post_development_login
