"""The whole application in this process, as `livedrop api` wires it, with creators, their drops, and buyers."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec

from doubles import ScriptedProvider
from livedrop.accounts import Tokens
from livedrop.kit.clock import rfc3339
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.orders import Recovery, expire_holds
from livedrop.payments import PaymentEvent
from livedrop.processes.wiring import Wired, wire
from livedrop.settings import Settings, read
from livedrop.stock.audit import audit
from livedrop.web.application import Application

SECRET = "a secret of the tests that is long enough to sign with"
TOKEN_SECONDS = 3_600
PRICE_MINOR = 1_500
NEVER_VOID_SECONDS = 1e9

Json = dict[str, Any]

_numbers = itertools.count(1)


class Person(msgspec.Struct, frozen=True):
    """Somebody who is signed in."""

    id: str
    token: str


class Marketplace:
    """One API process's application, over a database that others may share."""

    def __init__(
        self, database: Database, provider: ScriptedProvider, wired: Wired, client: httpx.AsyncClient
    ) -> None:
        self.database = database
        self.provider = provider
        self.wired = wired
        self._client = client

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: Person | None = None,
        key: str | None = None,
        content: bytes | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> httpx.Response:
        """One request; `content` and `headers` are sent as they are, beside or instead of what the others mean."""
        sent = list(headers or ())
        if by is not None:
            sent.append((b"authorization", f"Bearer {by.token}".encode()))
        if key is not None:
            sent.append((b"idempotency-key", key.encode()))
        if body is not None:
            content = msgspec.json.encode(body)
            sent.append((b"content-type", b"application/json"))
        return await self._client.request(method, path, content=content, headers=sent)

    async def get(self, path: str, *, by: Person | None = None) -> httpx.Response:
        return await self.call("GET", path, by=by)

    async def post(
        self, path: str, body: Any = None, *, by: Person | None = None, key: str | None = None
    ) -> httpx.Response:
        return await self.call("POST", path, body, by=by, key=key)

    async def put(self, path: str, *, by: Person | None = None) -> httpx.Response:
        return await self.call("PUT", path, by=by)

    async def delete(self, path: str, *, by: Person | None = None) -> httpx.Response:
        return await self.call("DELETE", path, by=by)

    async def person(self) -> Person:
        """A new user, made by statement: signing in is tested elsewhere."""
        user_id = new_id()
        await self.database.fetchval("INSERT INTO users (id, name) VALUES ($1, 'Ada')", user_id)
        return Person(str(user_id), Tokens([SECRET]).issue(user_id, new_id(), lifetime_seconds=TOKEN_SECONDS))

    async def creator(self) -> Person:
        person = await self.person()
        body = {"handle": f"creator-{next(_numbers)}", "display_name": "The Creator"}
        shown(await self.post("/creators", body, by=person), 201)
        return person

    async def drop(
        self, creator: Person, *, variants: int = 1, price_minor: int = PRICE_MINOR, stock: int = 5, **details: Any
    ) -> Json:
        """A live drop with `stock` units of each variant, or with other details."""
        offered = [{"sku": f"SKU-{next(_numbers)}", "name": f"Size {number}"} for number in range(variants)]
        product = shown(
            await self.post(
                "/products",
                {"title": "Shirt", "price_minor": price_minor, "currency": "EUR", "variants": offered},
                by=creator,
            ),
            201,
        )
        body = {
            "product_id": product["id"],
            "starts_at": in_seconds(-3_600),
            "stock": {variant["id"]: stock for variant in product["variants"]},
        }
        return shown(await self.post("/drops", body | details, by=creator), 201)

    async def order(self, buyer: Person, drop: Json, key: str | None = None, **details: Any) -> httpx.Response:
        """POST /orders for one unit, or with other details."""
        body = {"drop_id": drop["id"], "quantity": 1} | details
        return await self.post("/orders", body, by=buyer, key=key or str(new_id()))

    async def reserve(self, buyer: Person, drop: Json, key: str | None = None, **details: Any) -> httpx.Response:
        return await self.post(f"/drops/{drop['id']}/reserve", details, by=buyer, key=key or str(new_id()))

    async def pay(
        self, buyer: Person, order: Json, method: str = "pm_card_ok", *, key: str | None = None
    ) -> httpx.Response:
        return await self.post(f"/orders/{order['id']}/pay", {"payment_method": method}, by=buyer, key=key)

    async def reserved(self, buyer: Person, drop: Json, **details: Any) -> Json:
        return shown(await self.reserve(buyer, drop, **details), 201)

    async def bought(self, buyer: Person, drop: Json, **details: Any) -> Json:
        return shown(await self.order(buyer, drop, payment_method="pm_card_ok", **details), 201)

    async def now(self, order: Json, by: Person) -> Json:
        """The order as it stands."""
        return shown(await self.get(f"/orders/{order['id']}", by=by), 200)

    async def status(self, order: Json, by: Person) -> str:
        return str((await self.now(order, by))["status"])

    async def units(self, drop: Json) -> tuple[int, int, int]:
        """Available, reserved and sold, in the books."""
        async with self.database.connection() as connection:
            row = await connection.fetchrow(
                "SELECT sum(available), sum(reserved), sum(sold) FROM lots WHERE drop_id = $1", UUID(drop["id"])
            )
        assert row is not None
        return row[0], row[1], row[2]

    async def end_hold(self, order: Json) -> None:
        """Lets the time of a reservation be over; what changes it is still the worker's work."""
        await self.database.fetchval(
            "UPDATE orders SET hold_expires_at = clock_timestamp() - interval '1 second' WHERE id = $1",
            UUID(order["id"]),
        )

    async def add_stock(self, creator: Person, drop: Json, total: int) -> None:
        """Lets a drop of one variant have so many units in all."""
        shown(await self.call("PATCH", f"/drops/{drop['id']}", {"stock": total}, by=creator), 200)

    async def expire(self) -> None:
        """The worker's look at holds that have ended."""
        await expire_holds(self.database, self.wired.till)

    async def payments(self, order: Json) -> list[tuple[UUID, str]]:
        """The ids and statuses of an order's payments, the oldest first."""
        rows = await self.database.fetch(
            "SELECT id, status FROM payments WHERE order_id = $1 ORDER BY id", UUID(order["id"])
        )
        return [(row[0], row[1]) for row in rows]

    async def webhook(self, *events: PaymentEvent, **changed: bytes) -> httpx.Response:
        """The provider tells this, signed; `changed` replaces its headers, or its `body` after it was signed."""
        headers, body = self.provider.sign_webhook(events)
        sent = {name.encode(): value.encode() for name, value in headers.items()}
        sent |= {name.replace("_", "-").encode(): value for name, value in changed.items() if name != "body"}
        return await self.call(
            "POST",
            f"/payments/webhooks/{self.provider.name}",
            content=changed.get("body", body),
            headers=list(sent.items()),
        )

    def recovery(self, void_after_seconds: float = NEVER_VOID_SECONDS) -> Recovery:
        """The worker's, which asks at once for every open payment. Each new one has no patience to keep."""
        return Recovery(self.database, self.wired.cashier, quiet_seconds=0, void_after_seconds=void_after_seconds)

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """Whatever is tried in this block must change nothing."""
        before = await self.everything()
        yield
        assert await self.everything() == before

    async def everything(self) -> dict[str, tuple[int, str]]:
        """Of each table its number of rows and a digest of them all."""
        tables = await self.database.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
        )
        found = {}
        for (table,) in tables:
            rows = await self.database.fetch(f"SELECT t::text FROM {table} AS t ORDER BY 1")
            digest = hashlib.sha256("\n".join(row[0] for row in rows).encode()).hexdigest()
            found[table] = (len(rows), digest)
        return found

    async def breaches(self) -> list[str]:
        """What `livedrop audit` finds wrong."""
        broken = (await audit(self.database)).broken
        return [f"{check.name}: {'; '.join(check.offenders)}" for check in broken]


@asynccontextmanager
async def open_marketplace(database_url: str, provider: ScriptedProvider | None = None) -> AsyncIterator[Marketplace]:
    """Another API process on this database; several may share a provider."""
    database = await Database(database_url).open()
    provider = provider or ScriptedProvider()
    wired = wire(_settings(), database, provider)
    transport = httpx.ASGITransport(_as_asgi(wired.application))
    # One request id for all: what is left of two answers must be the same, byte for byte.
    headers = {"x-request-id": "a-test"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1", headers=headers) as client:
        yield Marketplace(database, provider, wired, client)
    await wired.cashier.close()
    await wired.till.close()
    await wired.pages.close()
    wired.passwords.close()
    await database.close()


def _settings() -> Settings:
    return read({"LIVEDROP_MODE": "development", "LIVEDROP_SECRET_KEY": SECRET})


def _as_asgi(application: Application) -> Any:
    return application  # httpx types the same protocol differently


def shown(answer: httpx.Response, status: int) -> Json:
    """The answer's JSON, if it has this status."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    said: Json = answer.json()
    return said


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json", f"{answer.status_code} {answer.text}"
    return answer.status_code, answer.json()["code"]


def is_replay(answer: httpx.Response) -> bool:
    return "idempotent-replayed" in answer.headers and answer.headers["idempotent-replayed"] == "true"


def is_told_again(first: httpx.Response, again: httpx.Response) -> bool:
    """Whether the retry was told the first answer again, byte for byte, and was told so."""
    same = (first.status_code, first.content) == (again.status_code, again.content)
    return same and is_replay(again) and not is_replay(first)


def in_seconds(seconds: float) -> str:
    """A moment that lies so far ahead, or back."""
    return rfc3339(datetime.now(UTC) + timedelta(seconds=seconds))
