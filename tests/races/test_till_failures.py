"""What may fail in one batch must not fail its neighbours: bugs, deadlocks, locks, frozen processes, crowds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from livedrop.kit.database import Database
from livedrop.kit.refusals import Busy, Unavailable
from livedrop.stock import Edit, RefundDue, Settled, Till
from livedrop.stock.till import INTENTS_WAITING_MAX, RESERVES_WAITING_MAX
from shop import Drop, Shop, begin_payment, breaches, close, lots, orders_of, sell


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
async def shop(database: Database) -> Shop:
    return await Shop(database).open()


@pytest.fixture
async def till(database: Database) -> AsyncIterator[Till]:
    till = Till(database)
    yield till
    await till.close()


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


# Bugs: the schema, the database's types or an assertion refuse what the rules allowed


async def test_what_the_schema_refuses_is_one_intents_failure(
    database: Database, database_url: str, shop: Shop, till: Till
) -> None:
    drop = await shop.drop(100)
    buyers = await shop.buyers(30)
    async with _connected(database_url) as connection:
        await connection.execute("ALTER TABLE orders ADD CONSTRAINT not_seven CHECK (quantity <> 7)")
    intents = [drop.reserve(buyer, 7 if place == 11 else 1) for place, buyer in enumerate(buyers)]
    results = await asyncio.gather(*(till.reserve(intent) for intent in intents), return_exceptions=True)
    assert isinstance(results[11], asyncpg.CheckViolationError)
    assert len(orders_of(results)) == 29
    assert await lots(database, drop) == [(71, 29, 0)]
    assert await breaches(database) == []


async def test_what_the_database_can_not_hold_is_one_intents_failure(
    database: Database, shop: Shop, till: Till
) -> None:
    drop, other = await shop.drop(100), await shop.drop(100)
    buyers = await shop.buyers(10)
    too_many = till.change(Edit(drop_id=drop.id, creator_id=drop.creator_id, totals={None: 2**31}))
    unwritable = till.reserve(drop.reserve(buyers[0], key="\x00"))
    reserves = [till.reserve(each.reserve(buyer)) for buyer in buyers for each in (drop, other)]
    results = await asyncio.gather(too_many, unwritable, *reserves, return_exceptions=True)
    assert isinstance(results[0], asyncpg.DataError)
    assert isinstance(results[1], asyncpg.DataError)
    assert len(orders_of(results)) == 20
    assert await lots(database, drop) == [(90, 10, 0)]
    assert await breaches(database) == []


async def test_a_failed_assertion_is_one_intents_failure(
    database: Database, database_url: str, shop: Shop, till: Till
) -> None:
    """Seen before: everybody in the batch got the error, again each time that the recovery asked."""
    drop = await shop.drop(100)
    buyers = await shop.buyers(10)
    broken = await till.settle(sell(await till.reserve(drop.reserve(buyers[0], pay=True))))
    async with _connected(database_url) as connection:
        await connection.execute("UPDATE payments SET status = 'declined'")  # a paid order without a capture
    refund = till.settle(RefundDue(drop_id=drop.id, order_id=broken.order.id))
    results = await asyncio.gather(
        refund, *(till.reserve(drop.reserve(buyer)) for buyer in buyers), return_exceptions=True
    )
    assert isinstance(results[0], AssertionError)
    assert len(orders_of(results)) == 10


# Others hold what a batch needs


async def test_a_deadlock_is_tried_again(database_url: str, shop: Shop) -> None:
    """Somebody locks two heads in the other order, by hand; the till is the one that is picked to give way."""
    async with _connected(database_url) as administering:
        name = await administering.fetchval("SELECT current_database()")
        await administering.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '50ms'")
    drops = sorted([await shop.drop(10), await shop.drop(10)], key=lambda drop: drop.id)
    (buyer,) = await shop.buyers(1)
    till = Till(Database(database_url))
    async with _connected(database_url) as connection, connection.transaction():
        await connection.execute("SET LOCAL deadlock_timeout = '20s'")
        await _lock(connection, drops[1])
        asked = asyncio.gather(*(till.reserve(drop.reserve(buyer)) for drop in drops))
        while not await connection.fetchval(_WAITING):
            await asyncio.sleep(0.001)
        await _lock(connection, drops[0])  # granted, because the till gave way
        assert not asked.done()
    settled = await asked
    assert [each.order.status for each in settled] == ["reserved", "reserved"]
    assert till.settled["batches"] == 1
    await till.close()


_WAITING = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"
_FAILING = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('tries') <= {times} THEN
        RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = 'no';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER fail BEFORE INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION fail()
"""


@pytest.mark.parametrize("times", [1, 3])
async def test_a_serialization_failure_is_tried_again(
    database: Database, database_url: str, shop: Shop, till: Till, times: int
) -> None:
    drop = await shop.drop(10)
    (buyer,) = await shop.buyers(1)
    async with _connected(database_url) as connection:
        await connection.execute(_FAILING.format(times=times))
    assert (await till.reserve(drop.reserve(buyer))).order.status == "reserved"
    assert await database.fetchval("SELECT last_value FROM tries") == times + 1
    assert await breaches(database) == []


async def test_failing_for_ever_is_said(database: Database, database_url: str, shop: Shop, till: Till) -> None:
    drop = await shop.drop(10)
    (buyer,) = await shop.buyers(1)
    async with _connected(database_url) as connection:
        await connection.execute(_FAILING.format(times=1_000))
    with pytest.raises(Unavailable):
        await till.reserve(drop.reserve(buyer))
    assert await database.fetchval("SELECT count(*) FROM orders") == 0


async def test_a_locked_drop_holds_up_no_other(database: Database, database_url: str, shop: Shop, till: Till) -> None:
    locked, *others = [await shop.drop(10) for _ in range(4)]
    (buyer,) = await shop.buyers(1)
    async with _connected(database_url) as connection:
        async with connection.transaction():
            await _lock(connection, locked)
            asked = [till.reserve(drop.reserve(buyer, key="mine")) for drop in (*others, locked)]
            results = await asyncio.gather(*asked, return_exceptions=True)
            assert [type(result) for result in results] == [Settled, Settled, Settled, Busy]
        assert (await till.reserve(locked.reserve(buyer, key="mine"))).order.status == "reserved"
    assert await breaches(database) == []


async def _lock(connection: asyncpg.Connection[asyncpg.Record], drop: Drop) -> None:
    await connection.execute(f"SELECT FROM drop_heads WHERE drop_id = '{drop.id}' FOR UPDATE")


# A frozen process

FROZEN = """
import asyncio, os, signal, sys
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id, parse_id
from livedrop.stock import Reserve, Till, store

read = store.read

async def freeze(*arguments):
    store.read = read
    print("locked", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    return await read(*arguments)

async def main(url, drop_id, user_id):
    store.read = freeze
    till = Till(Database(url))
    settled = await till.reserve(Reserve(
        order_id=new_id(), drop_id=parse_id(drop_id), user_id=parse_id(user_id), variant_id=None, quantity=3,
        idempotency_key="frozen", fingerprint=b"one",
    ))
    print(settled.order.status, settled.order.quantity, settled.replayed)

asyncio.run(main(*sys.argv[1:]))
"""
HELD_UP_SECONDS_MAX = 14.0


async def test_a_frozen_process_stops_its_drop_for_a_while_only(
    database: Database, database_url: str, shop: Shop, till: Till
) -> None:
    """PostgreSQL ends its transaction; when it wakes up, it settles what it was asked, as anybody else would."""
    drop = await shop.drop(10)
    buyer, frozen_buyer = await shop.buyers(2)
    frozen = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FROZEN, database_url, str(drop.id), str(frozen_buyer),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert frozen.stdout is not None
        assert await frozen.stdout.readline() == b"locked\n"
        started = time.monotonic()
        with pytest.raises(Busy):
            await till.reserve(drop.reserve(buyer))
        assert await _until_settled(till, drop, buyer) == "reserved"
        assert time.monotonic() - started < HELD_UP_SECONDS_MAX
        os.kill(frozen.pid, signal.SIGCONT)
        assert (await frozen.stdout.read()).splitlines()[-1] == b"reserved 3 False"
    finally:
        if frozen.returncode is None:
            frozen.kill()
        await frozen.wait()
    assert await lots(database, drop) == [(6, 4, 0)]
    assert await breaches(database) == []


async def _until_settled(till: Till, drop: Drop, buyer: Any) -> str:
    while True:
        try:
            return (await till.reserve(drop.reserve(buyer, key="mine"))).order.status
        except Busy:
            continue


# A crowd


async def test_the_queue_is_bounded_and_sells_get_in(database: Database, shop: Shop, till: Till) -> None:
    drop = await shop.drop(20_000)
    buyers = await shop.buyers(1)
    paying = await till.reserve(drop.reserve(buyers[0], pay=True))
    reserved = await till.reserve(drop.reserve(buyers[0]))
    waiting = [till.reserve(drop.reserve(buyers[0])) for _ in range(RESERVES_WAITING_MAX)]
    with pytest.raises(Busy):
        till.reserve(drop.reserve(buyers[0]))
    sold = till.settle(sell(paying))
    begun = till.settle(begin_payment(reserved.order))
    while till.waiting < INTENTS_WAITING_MAX:
        waiting.append(till.settle(sell(paying)))
    with pytest.raises(Busy):
        till.settle(sell(paying))
    settled = await asyncio.gather(sold, begun, *waiting)
    assert all(isinstance(each, Settled) for each in settled)
    assert [each.order.status for each in settled[:2]] == ["paid", "paying"]
    assert (await till.reserve(drop.reserve(buyers[0]))).order.status == "reserved"
    assert (await lots(database, drop))[0][1:] == (RESERVES_WAITING_MAX + 2, 1)
    assert await breaches(database) == []


async def test_closing_settles_what_waits(database: Database, shop: Shop) -> None:
    drop = await shop.drop(2_000)
    buyers = await shop.buyers(1_000)
    tills = [Till(database), Till(database)]
    asked = [tills[place % 2].reserve(drop.reserve(buyer)) for place, buyer in enumerate(buyers)]
    await close(tills)
    assert all(future.done() for future in asked)
    assert len(orders_of(await asyncio.gather(*asked))) == 1_000
