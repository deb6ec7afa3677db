"""The catalogue over HTTP, alone in an application, for people whose token is simply their id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
from litestar import Router

from livedrop.catalogue.routes import routes
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.web.application import Application, framework
from livedrop.web.guards import Caller, Guard
from livedrop.web.pages import Cursors

MUG: dict[str, Any] = {"title": "Mug", "price_minor": 1200, "currency": "EUR"}


def _caller(token: str) -> Caller:
    return Caller(user_id=UUID(token), session_id=new_id(), expires_at=float("inf"))


@asynccontextmanager
async def catalogue_client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    handlers = routes(database, Guard(_caller), Cursors(b"a secret of the tests"))
    # httpx and Litestar type the same protocol differently.
    application: Any = Application([], framework([Router("/api/v1", route_handlers=handlers)]))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://test/api/v1") as client:
        yield client


async def make_user(database: Database) -> dict[str, str]:
    """A user's headers."""
    user_id = new_id()
    await database.fetch("INSERT INTO users (id, name) VALUES ($1, 'Somebody')", user_id)
    return {"Authorization": f"Bearer {user_id}"}


async def make_creator(database: Database) -> dict[str, str]:
    """A creator's headers."""
    headers = await make_user(database)
    user_id = user_of(headers)
    await database.fetch(
        "INSERT INTO creators (id, handle, display_name, search) VALUES ($1, $2, 'Somebody', '')",
        user_id,
        f"c-{user_id.hex[-12:]}",
    )
    return headers


def user_of(headers: dict[str, str]) -> UUID:
    return UUID(headers["Authorization"].removeprefix("Bearer "))


async def made(client: httpx.AsyncClient, creator: dict[str, str], **details: Any) -> dict[str, Any]:
    """A product of this creator: the mug, with other details."""
    answer = await client.post("/products", json=MUG | details, headers=creator)
    assert answer.status_code == 201, answer.text
    product: dict[str, Any] = answer.json()
    return product


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]


async def facts_of(database: Database, creator: dict[str, str]) -> list[str]:
    """The types of the facts about this creator, in the order in which they happened."""
    rows = await database.fetch(
        "SELECT type FROM subject_facts WHERE subject_id = $1 ORDER BY created_at", user_of(creator)
    )
    return [row["type"] for row in rows]
