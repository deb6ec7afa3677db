"""`livedrop audit`: a sound database passes, and each invariant, broken by hand, is reported, and it alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import msgspec
import pytest
from audit_breaches import BREACHES, UNTOLD

from livedrop.kit.database import Database
from livedrop.processes.parts import command_of
from livedrop.stock import CancelDrop, Edit, RefundDue, Restock, Settled, Till
from livedrop.stock.audit import OFFENDERS_MAX, Report, audit
from livedrop.stock.invariants import INVARIANTS
from shop import Drop, Shop, begin_payment, decline, expire, give_up, sell


@pytest.fixture
async def drop(database: Database) -> AsyncIterator[Drop]:
    """A drop of two variants with an order in every status, beside a cancelled one, a draft and a free one."""
    shop = await Shop(database).open()
    till = Till(database)
    drop = await shop.drop(100, 100, limit=5, ends_in=timedelta(days=1))
    await _every_status(shop, till, drop)
    await till.change(Edit(drop_id=drop.id, creator_id=drop.creator_id, ends_at=None))
    cancelled = await shop.drop(10)
    await till.change(CancelDrop(drop_id=cancelled.id, creator_id=cancelled.creator_id))
    free = await shop.drop(3, price_minor=0)
    (buyer,) = await shop.buyers(1)
    await till.reserve(free.reserve(buyer, sell_free=True))
    await shop.drop(10, published=False)
    yield drop
    await till.close()


async def _every_status(shop: Shop, till: Till, drop: Drop) -> None:
    buyers = await shop.buyers(9)
    intents = [drop.reserve(buyer, 2, variant=0) for buyer in buyers[:6]]
    intents += [drop.reserve(buyer, 2, variant=1, pay=True) for buyer in (*buyers[6:], buyers[0])]
    reserved, expired, late, cancelled, twice, refunded, paying, paid, failed, owed = await asyncio.gather(
        *(till.reserve(intent) for intent in intents)
    )
    assert {reserved.order.status, paying.order.status} == {"reserved", "paying"}
    late_payment = await till.settle(begin_payment(late.order))
    await till.settle(decline(late_payment))
    await _end_holds(shop.database, expired, late)
    await till.settle(expire(expired.order))
    await till.settle(expire(late.order))
    await till.change(Edit(drop_id=drop.id, creator_id=drop.creator_id, totals={drop.variants[0]: 101}))
    await till.settle(give_up(cancelled.order))
    await till.settle(decline(await till.settle(begin_payment(twice.order))))
    await till.settle(sell(await till.settle(begin_payment(twice.order))))
    sold = await till.settle(sell(await till.settle(begin_payment(refunded.order))))
    await till.settle(RefundDue(drop_id=drop.id, order_id=sold.order.id))
    assert sold.payment is not None
    await till.settle(Restock(drop_id=drop.id, order_id=sold.order.id, payment_id=sold.payment.id))
    await till.settle(sell(paid))
    await till.settle(decline(failed))
    await till.settle(decline(owed))
    await till.settle(sell(owed))


async def _end_holds(database: Database, *settled: Settled) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE orders SET hold_expires_at = clock_timestamp() WHERE id = ANY ($1)",
            [each.order.id for each in settled],
        )


async def test_a_sound_database_passes(database: Database, drop: Drop) -> None:
    for asked in (None, drop.id):
        report = await audit(database, asked)
        assert report.broken == []
        assert [check.name for check in report.checks] == [invariant.name for invariant in INVARIANTS]
        assert [check.name for check in report.checks if check.checked == 0] == []
        assert report.drops == (4 if asked is None else 1)


async def test_an_empty_database_passes(database: Database) -> None:
    report = await audit(database)
    assert report.broken == []
    assert report.drops == 0


@pytest.mark.parametrize(
    ("name", "statements"), [pytest.param(name, sql, id=f"{name}-{how}") for name, how, sql in BREACHES]
)
async def test_a_breach_is_found(
    database: Database, database_url: str, drop: Drop, name: str, statements: list[str]
) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        for statement in statements:
            changed = await connection.execute(statement.format(drop=f"'{drop.id}'", untold=UNTOLD))
            assert not changed.endswith(" 0"), f"broke nothing: {statement}"
    finally:
        await connection.close()
    report = await audit(database)
    assert [check.name for check in report.broken] == [name]
    (broken,) = report.broken
    assert broken.breaches >= 1
    assert broken.offenders != []
    assert all(broken.offenders)


def test_every_invariant_is_broken_once() -> None:
    assert {name for name, _, _ in BREACHES} == {invariant.name for invariant in INVARIANTS}


async def test_another_drop_is_not_looked_at(database: Database, drop: Drop) -> None:
    other = await Shop(database).open()
    sound = await other.drop(1)
    async with database.transaction() as tx:
        await tx.execute("UPDATE drop_heads SET orders_placed = 100 WHERE drop_id = $1", drop.id)
    assert (await audit(database, sound.id)).broken == []
    assert [check.name for check in (await audit(database, drop.id)).broken] == ["orders_counted"]


async def test_only_the_first_offenders_are_named(database: Database) -> None:
    shop = await Shop(database).open()
    for _ in range(OFFENDERS_MAX + 3):
        await shop.drop(1)
    async with database.transaction() as tx:
        await tx.execute("UPDATE drop_heads SET orders_placed = 1")
    (check,) = (await audit(database)).broken
    assert check.breaches == OFFENDERS_MAX + 3
    assert len(check.offenders) == OFFENDERS_MAX


async def test_all_is_seen_at_one_moment(database: Database, drop: Drop) -> None:
    """Each statement alone would see orders that the counts before it did not hold."""
    shop = await Shop(database).open()
    (buyer,) = await shop.buyers(1)
    till = Till(database)
    stop = asyncio.Event()

    async def load() -> int:
        placed = 0
        while not stop.is_set():
            await till.settle(give_up((await till.reserve(drop.reserve(buyer))).order))
            placed += 1
        return placed

    loading = asyncio.create_task(load())
    reports: list[Report] = [await audit(database) for _ in range(5)]
    stop.set()
    assert await loading > 0
    assert [report.broken for report in reports] == [[]] * 5
    orders = [next(check.checked for check in report.checks if check.name == "orders_told") for report in reports]
    assert orders[-1] > orders[0], "nothing was written meanwhile"
    await till.close()


async def test_the_command_says_what_it_found(database: Database, database_url: str, drop: Drop) -> None:
    code, said, _ = await _livedrop_audit(database_url)
    assert code == 0
    assert "all hold" in said
    assert all(invariant.name in said for invariant in INVARIANTS)

    async with database.transaction() as tx:
        await tx.execute("UPDATE drop_heads SET orders_placed = 100 WHERE drop_id = $1", drop.id)
    code, said, _ = await _livedrop_audit(database_url)
    assert code == 1
    assert f"orders_counted: drop {drop.id}: counted 100, there are 10" in said
    code, said, _ = await _livedrop_audit(database_url, "--json", "--drop", str(drop.id))
    assert code == 1
    report = msgspec.json.decode(said, type=Report)
    assert (report.drop_id, report.drops) == (drop.id, 1)
    assert [(check.name, check.breaches) for check in report.broken] == [("orders_counted", 1)]


@pytest.mark.parametrize("asked", ["no-id", "01890000-0000-7000-8000-000000000000"])
async def test_a_drop_that_is_not_there_is_not_sound(database_url: str, asked: str) -> None:
    code, said, complained = await _livedrop_audit(database_url, "--drop", asked)
    assert (code, said) == (2, "")
    assert asked in complained


async def _livedrop_audit(url: str, *arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command_of("audit", *arguments),
        env={**os.environ, "LIVEDROP_DATABASE_URL": url, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    return process.returncode, said.decode(), complained.decode()
