"""The till when PostgreSQL's answer is lost, when it is silent or gone: nothing twice, nothing lost, no hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cutting_proxy import CuttingProxy, Moment, cutting_proxy
from structlog.testing import capture_logs

from conftest import TestServer
from livedrop.kit.database import Database
from livedrop.kit.refusals import Unavailable
from livedrop.stock import AnswerLater, CancelDrop, Edit, RefundDue, Restock, Till
from shop import Drop, Shop, begin_payment, breaches, decline, expire, give_up, lots, sell

MOMENTS: list[Moment] = ["begin", "read", "commit", "committed"]
FAST_SECONDS = 2.0
RECOVERY_SECONDS_MAX = 15.0


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
async def proxy(database_url: str, short_folder: Path) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(database_url, short_folder) as proxy:
        yield proxy


@pytest.fixture
async def till(proxy: CuttingProxy) -> AsyncIterator[Till]:
    """A till behind the proxy; only the till's own connection goes through it."""
    till = Till(Database(proxy.url))
    yield till
    await till.close()


@pytest.fixture
async def shop(database: Database) -> Shop:
    return await Shop(database).open()


# The connection is cut


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_batch_that_was_cut_off_is_settled_once(
    database: Database, shop: Shop, proxy: CuttingProxy, till: Till, moment: Moment
) -> None:
    drop = await shop.drop(100, limit=3)
    buyers = await shop.buyers(20)
    await till.reserve(drop.reserve(buyers[0]))  # it is connected, and its statements are prepared
    intents = [drop.reserve(buyer, 2, pay=True) for buyer in buyers]
    proxy.cut = moment
    settled = await asyncio.gather(*(till.reserve(intent) for intent in intents))
    assert proxy.cuts == 1
    assert [each.order.id for each in settled] == [intent.order_id for intent in intents]
    assert not any(each.replayed for each in settled)
    assert await lots(database, drop) == [(100 - 41, 41, 0)]
    assert await database.fetchval("SELECT count(*) FROM payments") == 20
    assert await breaches(database) == []


@pytest.mark.parametrize("moment", ["commit", "committed"])
async def test_every_step_of_an_order_may_be_cut_off(
    database: Database, shop: Shop, proxy: CuttingProxy, till: Till, moment: Moment
) -> None:
    """What is settled twice, because the answer to the first COMMIT was lost, is answered as the first time."""
    drop = await shop.drop(100)
    buyers = await shop.buyers(6)

    async def cut(ask: Callable[[Any], asyncio.Future[Any]], intent: Any) -> Any:
        proxy.cut = moment
        return await ask(intent)

    reserved = [await cut(till.reserve, drop.reserve(buyer)) for buyer in buyers]
    paying = [await cut(till.settle, begin_payment(each.order, "pay")) for each in reserved[:4]]
    later = AnswerLater(drop_id=drop.id, order_id=reserved[0].order.id, payment_id=paying[0].payment.id)
    assert (await cut(till.settle, later)).payment.answer_status == 202
    back = await cut(till.settle, decline(paying[1]))
    assert (back.order.status, back.payment.status) == ("reserved", "declined")
    paid = [await cut(till.settle, sell(each)) for each in (paying[0], *paying[2:])]
    assert [each.order.status for each in paid] == ["paid"] * 3
    assert (await cut(till.settle, give_up(reserved[4].order))).order.status == "cancelled"
    due = await cut(till.settle, RefundDue(drop_id=drop.id, order_id=paid[0].order.id))
    assert due.payment.status == "refund_pending"
    back_again = Restock(drop_id=drop.id, order_id=due.order.id, payment_id=due.payment.id)
    assert (await cut(till.settle, back_again)).order.status == "refunded"
    cancelled = await cut(till.change, CancelDrop(drop_id=drop.id, creator_id=drop.creator_id))
    assert cancelled.head.cancelled
    assert (await cut(till.settle, expire(reserved[5].order))).order.status == "reserved"
    assert proxy.cuts == 20
    assert not any(each.replayed for each in (*reserved, *paying))
    assert await lots(database, drop) == [(96, 2, 2)]
    assert await breaches(database) == []


async def test_an_edit_that_starts_the_drop_may_be_cut_off(shop: Shop, proxy: CuttingProxy, till: Till) -> None:
    """Seen before: it was made, and answered with "this drop has started"."""
    drop = await shop.drop(10, starts_in=timedelta(hours=1))
    proxy.cut = "committed"
    earlier = datetime.now(UTC) - timedelta(hours=1)
    edit = Edit(drop_id=drop.id, creator_id=drop.creator_id, title="Now", starts_at=earlier, totals={None: 20})
    settled = await till.change(edit)
    assert proxy.cuts == 1
    assert (settled.head.title, settled.head.starts_at, settled.lots[0].total) == ("Now", earlier, 20)


async def test_who_was_not_told_of_his_order_gets_it_with_his_key(
    database: Database, shop: Shop, proxy: CuttingProxy, till: Till
) -> None:
    """Committed, the answer lost, and PostgreSQL out of reach for longer than the till tries."""
    drop = await shop.drop(10)
    (buyer,) = await shop.buyers(1)
    await till.reserve(drop.reserve(buyer))
    proxy.cut = "committed"
    asked = till.reserve(drop.reserve(buyer, 2, key="mine"))
    while proxy.cuts == 0:
        await asyncio.sleep(0)
    await proxy.stop()
    with pytest.raises(Unavailable):
        await asked
    await proxy.start()
    retried = await till.reserve(drop.reserve(buyer, 2, key="mine"))
    assert retried.replayed
    assert await lots(database, drop) == [(7, 3, 0)]
    assert await breaches(database) == []


async def test_a_silent_database_is_given_up(shop: Shop, proxy: CuttingProxy, till: Till) -> None:
    """It takes connections and never answers. Seen before: 20 s in which nobody was told anything."""
    drop = await shop.drop(10)
    (buyer,) = await shop.buyers(1)
    proxy.silent = True
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await till.reserve(drop.reserve(buyer))
    assert time.monotonic() - started < 8
    proxy.silent = False
    assert (await till.reserve(drop.reserve(buyer))).order.status == "reserved"


# PostgreSQL is gone


async def test_an_immediate_stop_loses_nothing_and_needs_no_hand(own_postgres: TestServer) -> None:
    database = await Database(own_postgres.url).open()
    shop = await Shop(database).open()
    drop = await shop.drop(100_000)
    buyers = await shop.buyers(64)
    tills = [Till(database), Till(database)]
    stop = asyncio.Event()
    refused = asyncio.Event()
    buying = [asyncio.create_task(_buy(tills[n % 2], drop, buyer, stop, refused)) for n, buyer in enumerate(buyers)]
    while await database.fetchval("SELECT count(*) FROM orders") < 500:
        await asyncio.sleep(0.01)

    await own_postgres.stop_immediately()
    await asyncio.wait_for(refused.wait(), FAST_SECONDS)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        await Till(database).reserve(drop.reserve(buyers[0]))
    assert time.monotonic() - started < FAST_SECONDS

    await own_postgres.start()
    before = await _count(database)
    while await _count(database) < before + 500:
        await asyncio.sleep(0.01)
    stop.set()
    answered = [order for each in await asyncio.gather(*buying) for order in each]
    stored = {row[0] for row in await database.fetch("SELECT id FROM orders")}
    assert len(answered) > 1_000
    assert len(answered) == len(set(answered)) == len(stored), (
        "one order for each key, whatever happened to its answer"
    )
    assert set(answered) == stored
    assert await breaches(database) == []
    for till in tills:
        await till.close()
    await database.close()


async def _buy(till: Till, drop: Drop, buyer: Any, stop: asyncio.Event, refused: asyncio.Event) -> list[Any]:
    """Orders again and again; what is refused as unavailable is asked again under its key, until it is answered."""
    answered: list[Any] = []
    while not stop.is_set():
        key = f"order {len(answered)}"
        while True:
            try:
                answered.append((await till.reserve(drop.reserve(buyer, key=key))).order.id)
                break
            except Unavailable:
                refused.set()
                await asyncio.sleep(0.02)
    return answered


async def _count(database: Database) -> int:
    """The number of orders, as soon as PostgreSQL answers again."""
    async with asyncio.timeout(RECOVERY_SECONDS_MAX):
        while True:
            try:
                return int(await database.fetchval("SELECT count(*) FROM orders"))
            except Exception:
                await asyncio.sleep(0.02)
