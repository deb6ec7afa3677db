"""Paying, giving up, expiring and the outcomes of payments, at once through several tills."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from livedrop.kit.database import Database
from livedrop.stock import Order, Reserve, Sell, Settled, Till
from livedrop.stock.errors import (
    AlreadyPaid,
    HoldExpired,
    OrderClosed,
    PaymentInProgress,
)
from shop import (
    Drop,
    Shop,
    at_once,
    begin_payment,
    breaches,
    close,
    crowd,
    decline,
    expire,
    give_up,
    lots,
    orders_of,
    sell,
)

SEED = 7


@pytest.fixture
async def tills(database: Database) -> AsyncIterator[list[Till]]:
    """Four tills; nothing of what a test does with them may look like a bug to them."""
    tills = [Till(database) for _ in range(4)]
    with capture_logs() as logged:
        yield tills
        await close(tills)
    assert [entry for entry in logged if entry["log_level"] in ("warning", "error")] == []


@pytest.fixture
async def shop(database: Database) -> Shop:
    return await Shop(database).open()


async def test_paying_and_giving_up_at_once_ends_in_one_of_them(
    database: Database, shop: Shop, tills: list[Till]
) -> None:
    drop = await shop.drop(300)
    orders = await _reserved(shop, tills[0], drop, 300)
    dice = random.Random(SEED)
    pairs = await asyncio.gather(*(_pay_or_give_up(dice.sample(tills, 2), order) for order in orders))
    won = Counter[str]()
    for paid, given_up in pairs:
        if isinstance(paid, Settled):
            assert isinstance(given_up, PaymentInProgress)
            won["paid"] += 1
        else:
            assert isinstance(paid, OrderClosed)
            assert isinstance(given_up, Settled)
            won["given up"] += 1
    assert won["paid"] > 0
    assert won["given up"] > 0
    assert await lots(database, drop) == [(won["given up"], won["paid"], 0)]
    assert await breaches(database) == []


async def _pay_or_give_up(tills: Sequence[Till], order: Order) -> tuple[Any, Any]:
    paid, given_up = await at_once((tills[0].settle(begin_payment(order)), tills[1].settle(give_up(order))))
    return paid, given_up


async def test_paying_and_expiring_at_once_ends_in_one_of_them(
    database: Database, shop: Shop, tills: list[Till]
) -> None:
    """Each hold ends while one till pays and others expire it, again and again until it is one or the other."""
    drop = await shop.drop(200)
    orders = await _reserved(shop, tills[0], drop, 200)
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE orders SET hold_expires_at = clock_timestamp() + interval '150 ms' * random() WHERE drop_id = $1",
            drop.id,
        )
    dice = random.Random(SEED)
    paid = [asyncio.create_task(_pay_after(tills, order, dice.randint(0, 12))) for order in orders]
    while await database.fetchval("SELECT count(*) FROM orders WHERE drop_id = $1 AND status = 'reserved'", drop.id):
        await at_once(tills[1 + index % 3].settle(expire(order)) for index, order in enumerate(orders))
    outcomes = Counter(type(result) for result in await asyncio.gather(*paid))
    assert set(outcomes) == {Settled, HoldExpired}
    assert await lots(database, drop) == [(outcomes[HoldExpired], outcomes[Settled], 0)]
    assert await breaches(database) == []


async def _pay_after(tills: Sequence[Till], order: Order, batches: int) -> Any:
    for _ in range(batches):  # something that changes nothing, so that the payments begin over a while
        await tills[0].settle(expire(order))
    (result,) = await at_once([tills[0].settle(begin_payment(order))])
    return result


async def test_outcomes_that_come_twice_late_and_reordered_settle_once(
    database: Database, shop: Shop, tills: list[Till]
) -> None:
    drop = await shop.drop(150)
    buyers = await shop.buyers(150)
    paying = await crowd(tills, [drop.reserve(buyer, pay=True) for buyer in buyers])
    # Of three: the money came; no money came; both are said. Each is said eight times, in any order, by any till.
    said: list[Any] = [intent for each in paying[0::3] for intent in [sell(each)] * 8]
    said += [intent for each in paying[1::3] for intent in [decline(each)] * 8]
    said += [intent for each in paying[2::3] for intent in [sell(each), decline(each)] * 4]
    dice = random.Random(SEED)
    dice.shuffle(said)
    await at_once(dice.choice(tills).settle(intent) for intent in said)

    rows = await database.fetch(
        "SELECT o.id, o.status, p.status FROM orders o JOIN payments p ON p.order_id = o.id WHERE o.drop_id = $1",
        drop.id,
    )
    ended = {order_id: (status, payment_status) for order_id, status, payment_status in rows}
    both = Counter(ended[each.order.id] for each in paying[2::3])
    assert {ended[each.order.id] for each in paying[0::3]} == {("paid", "captured")}
    assert {ended[each.order.id] for each in paying[1::3]} == {("failed", "declined")}
    # What was declined first has failed for good: its money goes back. Else the late decline changed nothing.
    assert set(both) == {("paid", "captured"), ("failed", "refund_pending")}
    assert (await lots(database, drop))[0][2] == 50 + both["paid", "captured"]
    assert await breaches(database) == []


async def test_a_second_payment_never_takes_the_money_of_an_order_twice(
    database: Database, shop: Shop, tills: list[Till]
) -> None:
    """Declined, tried again, and then the first one took money after all: at the same time as the second."""
    drop = await shop.drop(60)
    orders = await _reserved(shop, tills[0], drop, 60)
    first = await at_once(tills[0].settle(begin_payment(order)) for order in orders)
    await at_once(tills[0].settle(decline(each)) for each in first)
    second = await at_once(tills[0].settle(begin_payment(order)) for order in orders)
    dice = random.Random(SEED)
    both = [sell(each) for each in (*first, *second)]
    dice.shuffle(both)
    await at_once(dice.choice(tills).settle(intent) for intent in both)
    statuses = await database.fetch("SELECT array_agg(status ORDER BY status) FROM payments GROUP BY order_id")
    # The other one is left open, for the recovery to call off.
    assert {tuple(row[0]) for row in statuses} <= {("captured", "initiated"), ("captured", "declined")}
    assert await lots(database, drop) == [(0, 0, 60)]
    assert await breaches(database) == []


async def _reserved(shop: Shop, till: Till, drop: Drop, count: int) -> list[Order]:
    buyers = await shop.buyers(count)
    orders = orders_of(await at_once(till.reserve(drop.reserve(buyer)) for buyer in buyers))
    assert len(orders) == count
    return orders


async def test_already_paid_is_said_to_whoever_comes_second(shop: Shop, tills: list[Till]) -> None:
    drop = await shop.drop(1)
    (order,) = await _reserved(shop, tills[0], drop, 1)
    begun = await tills[0].settle(begin_payment(order))
    sold, refused = await at_once((tills[0].settle(sell(begun)), tills[0].settle(give_up(order))))
    assert isinstance(sold, Settled)
    assert isinstance(refused, AlreadyPaid)


async def test_late_money_keeps_the_limit_whoever_took_the_buyers_units_meanwhile(
    database: Database, shop: Shop, tills: list[Till]
) -> None:
    """Of two late payments and one new order of each buyer, the limit of two lets two through."""
    drop = await shop.drop(1_000, limit=2)
    buyers = await shop.buyers(40)
    late: list[Settled] = []
    for _ in range(2):
        reserved = await crowd(tills, [drop.reserve(buyer) for buyer in buyers])
        paying = await at_once(tills[0].settle(begin_payment(each.order)) for each in reserved)
        async with database.transaction() as tx:
            await tx.execute("UPDATE orders SET hold_expires_at = clock_timestamp()")
        late += await at_once(tills[0].settle(decline(each)) for each in paying)
    assert {each.order.status for each in late} == {"expired"}

    dice = random.Random(SEED)
    intents: list[Sell | Reserve] = [*map(sell, late), *map(drop.reserve, buyers)]
    dice.shuffle(intents)
    await at_once(
        till.reserve(intent) if isinstance(intent, Reserve) else till.settle(intent)
        for intent in intents
        for till in [dice.choice(tills)]
    )
    held = await database.fetch(
        "SELECT sum(quantity) FROM orders WHERE status IN ('reserved', 'paid') GROUP BY drop_id, user_id"
    )
    assert [row[0] for row in held] == [2] * 40
    assert await breaches(database) == []
