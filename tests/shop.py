"""A shop in a test's database: a creator and its drops, buyers, and the intents that a test gives to a till."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.kit.refusals import Refusal
from livedrop.stock import (
    Attempt,
    BeginPayment,
    Head,
    Lot,
    Order,
    Release,
    Reserve,
    Return,
    Sell,
    Settled,
    Till,
    open_drop,
)
from livedrop.stock.audit import Check, audit


class Drop(msgspec.Struct, frozen=True):
    """A drop's names, for making intents about it."""

    id: UUID
    creator_id: UUID
    variants: tuple[UUID, ...]

    def reserve(
        self,
        user_id: UUID,
        quantity: int = 1,
        *,
        variant: int = 0,
        key: str | None = None,
        pay: bool = False,
        fingerprint: bytes = b"one",
        expected_total_minor: int | None = None,
        sell_free: bool = False,
    ) -> Reserve:
        return Reserve(
            order_id=new_id(),
            drop_id=self.id,
            user_id=user_id,
            variant_id=self.variants[variant],
            quantity=quantity,
            idempotency_key=key if key is not None else str(new_id()),
            fingerprint=fingerprint,
            expected_total_minor=expected_total_minor,
            attempt=attempt() if pay else None,
            sell_free=sell_free,
        )


class Shop:
    """One creator with one product; the caller opens and closes the database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.creator_id = new_id()
        self.product_id = new_id()

    async def open(self) -> Shop:
        async with self.database.transaction() as tx:
            await tx.execute("INSERT INTO users (id, name) VALUES ($1, 'Creator')", self.creator_id)
            await tx.execute(
                "INSERT INTO creators (id, handle, display_name, search) VALUES ($1, $2, 'Creator', 'creator')",
                self.creator_id,
                self.creator_id.hex,
            )
            await tx.execute(
                "INSERT INTO products (id, creator_id, title, price_minor, currency, search) "
                "VALUES ($1, $2, 'Shirt', 1000, 'EUR', 'shirt')",
                self.product_id,
                self.creator_id,
            )
        return self

    async def buyers(self, count: int) -> list[UUID]:
        ids = [new_id() for _ in range(count)]
        async with self.database.connection() as connection:
            await connection.execute("INSERT INTO users (id, name) SELECT unnest($1::uuid[]), 'Buyer'", ids)
        return ids

    async def drop(
        self,
        *units: int,
        price_minor: int = 1000,
        limit: int | None = None,
        starts_in: timedelta = timedelta(days=-1),
        ends_in: timedelta | None = None,
        hold_seconds: int = 3600,
        low_stock_threshold: int = 0,
        published: bool = True,
        now: datetime | None = None,
    ) -> Drop:
        """A drop with a lot for each of `units`."""
        now = now or datetime.now(UTC)
        drop_id, variants = new_id(), tuple(new_id() for _ in units)
        head = Head(
            drop_id=drop_id,
            creator_id=self.creator_id,
            product_id=self.product_id,
            title="Drop",
            published=published,
            starts_at=now + starts_in,
            ends_at=None if ends_in is None else now + ends_in,
            cancelled=False,
            per_customer_limit=limit,
            hold_seconds=hold_seconds,
            low_stock_threshold=low_stock_threshold,
            seq=0,
            version=1,
            orders_placed=0,
        )
        lots = [
            Lot(drop_id, variant_id, place, f"SKU-{place}", f"Size {place}", price_minor, "EUR", total, total, 0, 0)
            for place, (variant_id, total) in enumerate(zip(variants, units, strict=True))
        ]
        async with self.database.transaction() as tx:
            await tx.execute(
                "INSERT INTO drops (id, creator_id, product_id, product, search) VALUES ($1, $2, $3, '{}', 'drop')",
                drop_id,
                self.creator_id,
                self.product_id,
            )
            await open_drop(tx, head, lots, now)
        return Drop(drop_id, self.creator_id, variants)


def attempt() -> Attempt:
    return Attempt(new_id(), "pm_card_ok", "sandbox")


def begin_payment(order: Order, key: str | None = None, fingerprint: bytes = b"pay") -> BeginPayment:
    return BeginPayment(
        drop_id=order.drop_id,
        order_id=order.id,
        user_id=order.user_id,
        attempt=attempt(),
        idempotency_key=key,
        fingerprint=fingerprint if key is not None else None,
    )


def sell(settled: Settled) -> Sell:
    """The provider took the money of this settlement's payment."""
    assert settled.payment is not None
    return Sell(drop_id=settled.order.drop_id, order_id=settled.order.id, payment_id=settled.payment.id)


def decline(settled: Settled) -> Return:
    assert settled.payment is not None
    return Return(
        drop_id=settled.order.drop_id,
        order_id=settled.order.id,
        payment_id=settled.payment.id,
        reason="card_declined",
    )


def expire(order: Order) -> Release:
    return Release(drop_id=order.drop_id, order_id=order.id, cause="expired")


def give_up(order: Order) -> Release:
    """The buyer cancels."""
    return Release(drop_id=order.drop_id, order_id=order.id, cause="cancelled", by_user=order.user_id)


async def breaches(database: Database, drop_id: UUID | None = None) -> list[Check]:
    """What `livedrop audit` finds wrong."""
    return (await audit(database, drop_id)).broken


async def close(tills: Sequence[Till]) -> None:
    for till in tills:
        await till.close()


async def at_once(futures: Iterable[Any]) -> list[Any]:
    """All results; a refusal is one, any other exception fails the test."""
    results = await asyncio.gather(*futures, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Refusal):
            raise result
    return list(results)


async def crowd(tills: Sequence[Till], intents: Sequence[Reserve]) -> list[Any]:
    return await at_once(tills[index % len(tills)].reserve(intent) for index, intent in enumerate(intents))


async def lots(database: Database, drop: Drop) -> list[tuple[int, int, int]]:
    rows = await database.fetch(
        "SELECT available, reserved, sold FROM lots WHERE drop_id = $1 ORDER BY position", drop.id
    )
    return [tuple(row) for row in rows]


def orders_of(results: Iterable[Any]) -> list[Order]:
    return [result.order for result in results if isinstance(result, Settled)]
