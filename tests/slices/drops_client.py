"""Drops and the catalogue over HTTP, for people whose token is simply their id, with a real till behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from catalogue_client import made, make_creator, make_user, user_of
from litestar import Router

from livedrop.catalogue.routes import routes as catalogue_routes
from livedrop.drops import DropPages
from livedrop.drops.hot import hot_routes
from livedrop.drops.routes import routes
from livedrop.kit.clock import DatabaseClock, rfc3339
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.stock import Attempt, CancelDrop, Reserve, Sell, Settled, Till
from livedrop.web.application import Application, framework
from livedrop.web.guards import AuthRequired, Caller, Guard
from livedrop.web.pages import Cursors

HOLD_SECONDS = 60
Headers = dict[str, str]


class Drops:
    """A creator, its product, and a client of the API."""

    def __init__(self, client: httpx.AsyncClient, database: Database, till: Till, pages: DropPages) -> None:
        self.client = client
        self.database = database
        self.till = till
        self.pages = pages
        self.creator: Headers = {}
        self.product: dict[str, Any] = {}

    @property
    def creator_id(self) -> UUID:
        return user_of(self.creator)

    async def post(self, **details: Any) -> httpx.Response:
        """Asks for a drop of ten units that started long ago, with other details."""
        body = {"product_id": self.product["id"], "starts_at": in_seconds(-60), "stock": 10} | details
        return await self.client.post("/drops", json=body, headers=self.creator)

    async def made(self, **details: Any) -> dict[str, Any]:
        answer = await self.post(**details)
        assert answer.status_code == 201, answer.text
        drop: dict[str, Any] = answer.json()
        return drop

    async def patch(self, drop: dict[str, Any], **changes: Any) -> httpx.Response:
        return await self.client.patch(f"/drops/{drop['id']}", json=changes, headers=self.creator)

    async def page(self, drop: dict[str, Any], headers: Headers | None = None) -> httpx.Response:
        return await self.client.get(f"/drops/{drop['id']}", headers=headers)

    async def titles(self, query: str = "", headers: Headers | None = None) -> list[str]:
        answer = await self.client.get(f"/drops?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [drop["title"] for drop in answer.json()["items"]]

    async def buy(self, drop: dict[str, Any], quantity: int = 1, *, name: str = "Somebody") -> Settled:
        """A buyer of this name orders and pays."""
        reserved = await self.reserve(drop, quantity, name=name, pay=True)
        assert reserved.payment is not None
        return await self.till.settle(
            Sell(drop_id=UUID(drop["id"]), order_id=reserved.order.id, payment_id=reserved.payment.id)
        )

    async def reserve(
        self, drop: dict[str, Any], quantity: int = 1, *, name: str = "Somebody", pay: bool = False
    ) -> Settled:
        user = await make_user(self.database)
        await self.database.fetch("UPDATE users SET name = $2 WHERE id = $1", user_of(user), name)
        return await self.till.reserve(
            Reserve(
                order_id=new_id(),
                drop_id=UUID(drop["id"]),
                user_id=user_of(user),
                variant_id=UUID(drop["lots"][0]["variant_id"]),
                quantity=quantity,
                idempotency_key="one",
                fingerprint=b"one",
                attempt=Attempt(new_id(), "pm_card_ok", "sandbox") if pay else None,
            )
        )

    async def cancel(self, drop: dict[str, Any]) -> None:
        await self.till.change(CancelDrop(drop_id=UUID(drop["id"]), creator_id=self.creator_id))


@asynccontextmanager
async def open_drops(database: Database) -> AsyncIterator[Drops]:
    guard, cursors = Guard(_caller), Cursors(b"a secret of the tests")
    till, pages = Till(database), DropPages(database, DatabaseClock())
    handlers = [
        *catalogue_routes(database, guard, cursors),
        *routes(database, guard, cursors, till, pages, hold_seconds=HOLD_SECONDS),
    ]
    framed = framework([Router("/api/v1", route_handlers=handlers)])
    application: Any = Application(hot_routes(pages, guard), framed)
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        opened = Drops(client, database, till, pages)
        opened.creator = await make_creator(database)
        opened.product = await made(client, opened.creator)
        yield opened
    await pages.close()
    await till.close()


def in_seconds(seconds: float) -> str:
    """A moment that lies so far ahead, or back."""
    return rfc3339(datetime.now(UTC) + timedelta(seconds=seconds))


def _caller(token: str) -> Caller:
    try:
        return Caller(user_id=UUID(token), session_id=new_id(), expires_at=float("inf"))
    except ValueError:
        raise AuthRequired from None
