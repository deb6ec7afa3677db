"""“Sold out” is said from memory only when the till would say it too, whatever other processes do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from livedrop.kit.database import Database
from livedrop.stock import CancelDrop, Edit, Order, Release, SoldOutMemory, Till, sold_out
from livedrop.stock.errors import SoldOut
from shop import Drop, Shop


class Process:
    """What one API process has of the till."""

    def __init__(self, database: Database) -> None:
        self.memory = SoldOutMemory(database)
        self.till = Till(database, on_committed=self.memory.committed)

    async def buy(self, drop: Drop, buyer: UUID, key: str | None = None) -> Order:
        return (await self.till.reserve(drop.reserve(buyer, key=key))).order

    async def remembers(self, drop: Drop, stranger: UUID) -> None:
        """Waits until strangers are refused from memory."""
        async with asyncio.timeout(10):
            while not await self.refuses(drop, stranger):
                await asyncio.sleep(0.01)

    async def refuses(self, drop: Drop, buyer: UUID) -> bool:
        return await self.memory.refuses(drop.id, buyer, drop.variants[0])


@pytest.fixture
async def one(database: Database) -> AsyncIterator[Process]:
    process = Process(database)
    yield process
    await process.till.close()


@pytest.fixture
async def other(database: Database) -> AsyncIterator[Process]:
    process = Process(database)
    yield process
    await process.till.close()


@pytest.fixture
async def shop(database: Database) -> Shop:
    return await Shop(database).open()


def release(order: Order) -> Release:
    return Release(drop_id=order.drop_id, order_id=order.id, cause="cancelled", by_user=order.user_id)


async def test_strangers_are_refused_and_buyers_go_to_the_till(shop: Shop, one: Process) -> None:
    drop = await shop.drop(2)
    first, second, stranger = await shop.buyers(3)
    assert not await one.refuses(drop, stranger), "there is something left"
    for buyer in (first, second):
        await one.buy(drop, buyer)
    await one.remembers(drop, stranger)
    assert not await one.refuses(drop, first), "it may be a retry"
    assert not await one.memory.refuses(drop.id, stranger, stranger), "the till knows what to say of a variant"
    assert await one.memory.refuses(drop.id, stranger, None), "there is just one variant"


async def test_units_that_come_back_are_sold(shop: Shop, one: Process, other: Process) -> None:
    drop = await shop.drop(1)
    first, second, third = await shop.buyers(3)
    order = await one.buy(drop, first)
    await one.remembers(drop, second)
    await other.till.settle(release(order))
    assert not await one.refuses(drop, second), "another process released it"
    assert (await one.buy(drop, second)).status == "reserved"
    assert not await one.refuses(drop, second)
    assert await one.refuses(drop, third), "what this process sold itself needs no new reading of all buyers"


async def test_what_another_process_sold_is_never_refused_as_sold_out(
    shop: Shop, one: Process, other: Process
) -> None:
    """The buyer's first try went to another process; the retry must find its order, not "sold out"."""
    drop = await shop.drop(1)
    first, second, third = await shop.buyers(3)
    order = await one.buy(drop, first)
    await one.remembers(drop, third)
    await other.till.settle(release(order))
    bought = await other.buy(drop, second, key="mine")
    assert not await one.refuses(drop, second)
    again = await one.till.reserve(drop.reserve(second, key="mine"))
    assert (again.order.id, again.replayed) == (bought.id, True)
    with pytest.raises(SoldOut):
        await one.buy(drop, third)


async def test_the_buyers_are_read_anew_when_another_process_has_sold(
    shop: Shop, one: Process, other: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sold_out, "READ_ANEW_AFTER_SECONDS", 0.0)
    drop = await shop.drop(1)
    first, second, third = await shop.buyers(3)
    order = await one.buy(drop, first)
    await one.remembers(drop, third)
    await other.till.settle(release(order))
    await other.buy(drop, second)
    await one.remembers(drop, third)
    assert not await one.refuses(drop, second)


@pytest.mark.parametrize("change", ["more stock", "cancelled", "ended"])
async def test_a_drop_that_changed_is_the_tills_to_tell(
    shop: Shop, one: Process, other: Process, database: Database, change: str
) -> None:
    drop = await shop.drop(1)
    first, stranger = await shop.buyers(2)
    await one.buy(drop, first)
    await one.remembers(drop, stranger)
    match change:
        case "more stock":
            await other.till.change(Edit(drop_id=drop.id, creator_id=drop.creator_id, totals={None: 2}))
        case "cancelled":
            await other.till.change(CancelDrop(drop_id=drop.id, creator_id=drop.creator_id))
        case "ended":
            await database.fetch("UPDATE drop_heads SET ends_at = clock_timestamp() WHERE drop_id = $1", drop.id)
    assert not await one.refuses(drop, stranger)


async def test_too_many_buyers_are_not_remembered(shop: Shop, one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sold_out, "BUYERS_MAX", 2)
    small, large = await shop.drop(1), await shop.drop(3)
    first, second, third, stranger = await shop.buyers(4)
    for buyer in (first, second, third):
        await one.buy(large, buyer)
    await one.buy(small, first)
    await one.remembers(small, stranger)
    assert not await one.refuses(large, stranger)
