"""Accounts and creators over HTTP, alone in an application, with tokens that are real and hashes that are quick."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import httpx
from argon2 import PasswordHasher
from litestar import Litestar

from livedrop.accounts import Passwords, Tokens
from livedrop.accounts.routes import routes as account_routes
from livedrop.accounts.rules import Network
from livedrop.follows.routes import routes as follow_routes
from livedrop.kit.database import Database
from livedrop.web.application import Application
from livedrop.web.bodies import StrictRequest
from livedrop.web.guards import Guard
from livedrop.web.pages import Cursors

SECRET = "a secret of the tests, long enough to sign with"
PASSWORD = "correct horse battery"
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)

_numbers = itertools.count(1)


class AccountsClient:
    """Calls the API as users do; `address` is where the calls seem to come from."""

    def __init__(self, application: Any, tokens: Tokens, guard: Guard) -> None:
        self._application = application
        self.tokens = tokens
        self.guard = guard

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        address: str | None = "203.0.113.7",
    ) -> httpx.Response:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        client: Any = None if address is None else (address, 1234)
        transport = httpx.ASGITransport(_from(self._application, client))
        async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as http:
            return await http.request(method, path, json=body, headers=sent)

    async def get(self, path: str, **details: Any) -> httpx.Response:
        return await self.call("GET", path, **details)

    async def post(self, path: str, body: Any = None, **details: Any) -> httpx.Response:
        return await self.call("POST", path, body, **details)

    async def patch(self, path: str, body: Any = None, **details: Any) -> httpx.Response:
        return await self.call("PATCH", path, body, **details)

    async def registered(self, **details: Any) -> dict[str, Any]:
        """The answer to a new account's registration."""
        body = {"email": f"user{next(_numbers)}@example.com", "password": PASSWORD, "name": "Ada"} | details
        answer = await self.post("/auth/register", body)
        assert answer.status_code == 201, answer.text
        signed_in: dict[str, Any] = answer.json()
        return signed_in

    async def login(self, email: str, password: str = PASSWORD, **details: Any) -> httpx.Response:
        return await self.post("/auth/login", {"email": email, "password": password}, **details)

    async def refresh(self, refresh_token: str) -> httpx.Response:
        return await self.post("/auth/refresh", {"refresh_token": refresh_token})


@asynccontextmanager
async def accounts_client(
    database: Database,
    *,
    development: bool = True,
    exempt: tuple[Network, ...] = (),
    hasher: PasswordHasher = QUICK,
) -> AsyncIterator[AccountsClient]:
    """One API process of its own on this database."""
    tokens = Tokens([SECRET])
    guard = Guard(tokens.verify)
    passwords = Passwords(hasher)
    handlers = [
        *account_routes(database, guard, tokens, passwords, limits_exempt=exempt, development=development),
        *follow_routes(database, guard, Cursors(SECRET.encode())),
    ]
    litestar = Litestar(handlers, path="/api/v1", request_class=StrictRequest, exception_handlers={Exception: _raise})
    try:
        yield AccountsClient(Application([], litestar), tokens, guard)
    finally:
        passwords.close()


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


def _from(application: Any, client: tuple[str, int] | None) -> Any:
    async def called(scope: Any, receive: Any, send: Any) -> None:
        await application({**scope, "client": client}, receive, send)

    return called


def _raise(_: object, error: Exception) -> NoReturn:
    raise error
