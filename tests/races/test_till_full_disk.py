"""The till when PostgreSQL takes no writes: nothing is acknowledged, all are told at once, and it ends by itself."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from conftest import TestServer
from livedrop.kit.database import Database
from livedrop.kit.migrations import migrate
from livedrop.kit.refusals import Refusal, Unavailable
from livedrop.stock import Reserve, Settled, Till
from shop import Shop, at_once, breaches, lots

FAST_SECONDS = 2.0


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
async def shop(database: Database) -> Shop:
    return await Shop(database).open()


async def test_a_full_disk_said_by_postgresql(database: Database, shop: Shop) -> None:
    await _database_refuses(database, shop, "disk_full")


async def test_a_read_only_postgresql(database: Database, shop: Shop) -> None:
    """As on a standby, or after a failover to one."""
    await _database_refuses(database, shop, "read_only_sql_transaction")


async def _database_refuses(database: Database, shop: Shop, condition: str) -> None:
    drop = await shop.drop(100)
    buyers = await shop.buyers(20)
    till = Till(database)
    await till.reserve(drop.reserve(buyers[0], key="before"))
    await _execute(database, _REFUSING.format(condition=condition))
    intents = [drop.reserve(buyer, key="mine") for buyer in buyers]
    started = time.monotonic()
    assert {type(each) for each in await at_once(till.reserve(intent) for intent in intents)} == {Unavailable}
    assert time.monotonic() - started < FAST_SECONDS
    # What writes nothing is still answered.
    assert (await till.reserve(drop.reserve(buyers[0], key="before"))).replayed
    assert await database.fetchval("SELECT count(*) FROM orders") == 1
    await _execute(database, "DROP TRIGGER refuse ON orders")
    again = await at_once(till.reserve(intent) for intent in intents)
    assert all(isinstance(each, Settled) and not each.replayed for each in again)
    assert await lots(database, drop) == [(79, 21, 0)]
    assert await breaches(database) == []
    await till.close()


_REFUSING = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING ERRCODE = '{condition}', MESSAGE = 'no'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION refuse()
"""


async def _execute(database: Database, statement: str) -> None:
    async with database.connection() as connection:
        await connection.execute(statement)


SMALL_DISK_MIB = 96


@pytest.fixture
async def on_a_small_disk(short_folder: Path) -> AsyncIterator[TestServer]:
    """A PostgreSQL whose data lie on a disk of 96 MiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m,mode=700", "tmpfs", short_folder], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here; the same is tried with a trigger: {mounted.stderr.decode()}")
    server = await TestServer.make(place=str(short_folder))
    try:
        await migrate(server.url)
        yield server
    finally:
        await server.remove()
        subprocess.run(["umount", short_folder], check=True)


async def test_a_disk_that_is_really_full(on_a_small_disk: TestServer) -> None:
    database = await Database(on_a_small_disk.url, connections_max=2).open()
    shop = await Shop(database).open()
    drop = await shop.drop(1_000_000)
    buyers = await shop.buyers(100)
    till = Till(database)
    acknowledged = await _reserve_all(till, [drop.reserve(buyer) for buyer in buyers])
    ballast = on_a_small_disk.folder / "ballast"
    _fill(ballast)
    unavailable = False
    for _ in range(200):
        answers = await at_once(till.reserve(drop.reserve(buyer)) for buyer in buyers)
        acknowledged += [each.order.id for each in answers if isinstance(each, Settled)]
        refusals = {type(each) for each in answers if isinstance(each, Refusal)}
        assert refusals <= {Unavailable}
        unavailable = bool(refusals)
        if unavailable:
            break
    assert unavailable, "the disk never filled"
    ballast.unlink()
    acknowledged += await _reserve_all(till, [drop.reserve(buyer) for buyer in buyers])
    stored = {row[0] for row in await database.fetch("SELECT id FROM orders")}
    assert set(acknowledged) == stored
    assert await breaches(database) == []
    await till.close()
    await database.close()


async def _reserve_all(till: Till, intents: list[Reserve]) -> list[Any]:
    return [each.order.id for each in await asyncio.gather(*(till.reserve(intent) for intent in intents))]


def _fill(ballast: Path) -> None:
    """Writes until nothing more fits."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1_048_576, 4_096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
