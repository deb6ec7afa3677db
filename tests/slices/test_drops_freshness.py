"""How fresh the drop pages are: what is served at once, what waits for a check, and what a check costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from drops_client import Drops, in_seconds, open_drops

from livedrop.drops import DropPages
from livedrop.drops.page import Page
from livedrop.kit.clock import DatabaseClock
from livedrop.kit.database import Connection, Database
from livedrop.kit.ids import new_id
from livedrop.stock.errors import DropNotFound

MS = 0.001


class Ticks:
    """Both clocks, in the test's hand."""

    def __init__(self, now: datetime) -> None:
        self.at = 1_000.0
        self._zero = now - timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return self.at

    def now(self) -> datetime:
        return self._zero + timedelta(seconds=self.at)


class HandClock(DatabaseClock):
    """Believes the test instead of the database."""

    def __init__(self, ticks: Ticks) -> None:
        self._ticks = ticks

    def heard(self, database_now: datetime, asked_at: float) -> None:
        pass

    def now(self) -> datetime:
        return self._ticks.now()


class WatchedDatabase(Database):
    """Counts how often it was asked and has answered, can be away, and can hold its answers back."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked = 0
        self.answered = 0
        self.away = False
        self.held_back: asyncio.Event | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        self.asked += 1
        if self.away:
            raise ConnectionRefusedError("the database is away")
        async with super().connection() as connection:
            yield connection
            self.answered += 1
            if self.held_back is not None:
                await self.held_back.wait()


class Reader:
    """One process's pages, their database and their time."""

    def __init__(self, pages: DropPages, database: WatchedDatabase, ticks: Ticks) -> None:
        self.pages = pages
        self.database = database
        self.ticks = ticks

    async def read(self, drop: dict[str, Any]) -> Page:
        page = await self.pages.find(drop["id"])
        assert page is not None
        return page


@pytest.fixture
async def drops(database: Database) -> AsyncIterator[Drops]:
    async with open_drops(database) as opened:
        yield opened


@pytest.fixture
async def open_reader(drops: Drops) -> AsyncIterator[Callable[..., Any]]:
    opened: list[Reader] = []

    async def open_one(**bounds: int) -> Reader:
        watched = WatchedDatabase(drops.database.url)
        await watched.open()
        ticks = Ticks(await drops.database.fetchval("SELECT clock_timestamp()"))
        pages = DropPages(watched, HandClock(ticks), monotonic=ticks.monotonic, **bounds)
        opened.append(Reader(pages, watched, ticks))
        return opened[-1]

    yield open_one
    for reader in opened:
        await reader.pages.close()
        await reader.database.close()


@pytest.fixture
async def reader(open_reader: Callable[..., Any]) -> Reader:
    one: Reader = await open_reader()
    return one


async def test_young_bytes_are_served_without_asking(drops: Drops, reader: Reader) -> None:
    drop = await drops.made()
    page = await reader.read(drop)
    await drops.patch(drop, stock=11)
    reader.ticks.at += 39 * MS
    assert reader.pages.at_hand(drop["id"]) is page
    await reader.pages.close()
    assert reader.database.asked == 1


async def test_older_bytes_are_served_while_a_check_is_under_way(drops: Drops, reader: Reader) -> None:
    drop = await drops.made()
    page = await reader.read(drop)
    await drops.patch(drop, stock=11)
    reader.ticks.at += 41 * MS
    for _ in range(100):
        assert reader.pages.at_hand(drop["id"]) is page
    reader.ticks.at += 48 * MS
    assert reader.pages.at_hand(drop["id"]) is page
    await reader.pages.close()
    assert reader.database.asked == 2
    newer = reader.pages.at_hand(drop["id"])
    assert newer is not None
    assert (newer.version, newer.drop.available) == (2, 11)


async def test_readers_of_old_bytes_wait_for_one_check(drops: Drops, reader: Reader) -> None:
    drop = await drops.made()
    await reader.read(drop)
    await drops.patch(drop, stock=11)
    reader.ticks.at += 90 * MS
    assert reader.pages.at_hand(drop["id"]) is None
    pages = await asyncio.gather(*(reader.read(drop) for _ in range(50)))
    assert {page.version for page in pages} == {2}
    assert reader.database.asked == 2


async def test_what_has_not_changed_is_not_read_again(drops: Drops, reader: Reader) -> None:
    drop = await drops.made()
    page = await reader.read(drop)
    for _ in range(5):
        reader.ticks.at += 90 * MS
        assert await reader.read(drop) is page
    assert reader.database.asked == 6


async def test_many_drops_are_checked_at_once(drops: Drops, reader: Reader) -> None:
    many = [await drops.made(title=str(number)) for number in range(20)]
    first = await asyncio.gather(*(reader.read(drop) for drop in many))
    assert [page.drop.head.title for page in first] == [str(number) for number in range(20)]
    await drops.patch(many[7], stock=11)
    reader.ticks.at += 90 * MS
    second = await asyncio.gather(*(reader.read(drop) for drop in many))
    assert [page.version for page in second] == [2 if number == 7 else 1 for number in range(20)]
    assert [a is b for a, b in zip(first, second, strict=True)] == [number != 7 for number in range(20)]
    assert reader.database.asked == 2


async def test_an_age_counts_from_before_the_question(drops: Drops, reader: Reader) -> None:
    """An answer that was long on its way is old when it comes."""
    drop = await drops.made()
    reader.database.held_back = asyncio.Event()
    reading = asyncio.create_task(reader.read(drop))
    await reached(lambda: reader.database.answered == 1)
    reader.ticks.at += 95 * MS
    reader.database.held_back.set()
    await reading
    assert reader.pages.at_hand(drop["id"]) is None


async def test_that_there_is_no_such_drop_must_be_true_by_now(drops: Drops, reader: Reader) -> None:
    """The check that is under way was sent before the drop was made; its "no" is not the answer."""
    drop = await drops.made()
    await drops.database.fetch("UPDATE drop_heads SET drop_id = $1", UUID(int=0))  # not made yet
    reader.database.held_back = asyncio.Event()
    early = asyncio.create_task(reader.pages.find(drop["id"]))
    await reached(lambda: reader.database.answered == 1)
    await drops.database.fetch("UPDATE drop_heads SET drop_id = $1", UUID(drop["id"]))
    reader.ticks.at += 1 * MS
    late = asyncio.create_task(reader.read(drop))
    await asyncio.sleep(0)  # it waits for the check that is under way
    reader.database.held_back.set()
    assert await early is None
    assert (await late).version == 1


async def test_a_newer_version_is_never_replaced_by_an_older_one(drops: Drops, reader: Reader) -> None:
    drop = await drops.made()
    await drops.patch(drop, stock=11)
    page = await reader.read(drop)
    assert page.version == 2
    await drops.database.fetch("UPDATE drop_heads SET version = 1")  # as a replica that lags would say
    reader.ticks.at += 90 * MS
    assert await reader.read(drop) is page


async def test_the_phase_turns_by_the_clock_alone(drops: Drops, reader: Reader) -> None:
    now = reader.ticks.now()
    drop = await drops.made(starts_at=in_seconds(60), ends_at=in_seconds(120))
    await drops.database.fetch(
        "UPDATE drop_heads SET starts_at = $1, ends_at = $2",
        now + timedelta(milliseconds=20),
        now + timedelta(milliseconds=30),
    )
    page = await reader.read(drop)
    reader.database.away = True
    seen = []
    for _ in range(38):
        at_hand = reader.pages.at_hand(drop["id"])
        assert at_hand is page
        assert at_hand.etag == f'"1-{at_hand.phase}"'.encode()
        assert f'"phase":"{at_hand.phase}"'.encode() in at_hand.body
        seen.append(at_hand.phase)
        reader.ticks.at += 1 * MS
    assert seen[:19] == ["scheduled"] * 19
    assert seen[21:29] == ["live"] * 8
    assert seen[31:] == ["ended"] * 7
    assert reader.database.asked == 1


async def test_without_a_database_nothing_stale_is_served(drops: Drops, reader: Reader) -> None:
    drop = await drops.made()
    page = await reader.read(drop)
    reader.database.away = True
    reader.ticks.at += 60 * MS
    assert reader.pages.at_hand(drop["id"]) is page
    await reader.pages.close()
    reader.ticks.at += 29 * MS
    assert await reader.read(drop) is page
    reader.ticks.at += 2 * MS
    with pytest.raises(ConnectionRefusedError):
        await reader.read(drop)
    with pytest.raises(ConnectionRefusedError):
        await reader.pages.find(str(new_id()))
    reader.database.away = False
    assert await reader.read(drop) is page


async def test_a_reader_who_gives_up_takes_nobody_along(drops: Drops, reader: Reader) -> None:
    drop = await drops.made()
    reader.database.held_back = asyncio.Event()
    impatient, patient = (asyncio.create_task(reader.read(drop)) for _ in range(2))
    await reached(lambda: reader.database.answered == 1)
    impatient.cancel()
    await asyncio.wait([impatient])
    reader.database.held_back.set()
    assert (await patient).version == 1


async def test_ids_of_nothing_cost_little(drops: Drops, reader: Reader) -> None:
    drop = await drops.made()
    await reader.read(drop)
    found = await asyncio.gather(*(reader.pages.find(str(new_id())) for _ in range(500)))
    assert set(found) == {None}
    assert len(reader.pages) == 1
    assert reader.database.asked == 2
    with pytest.raises(DropNotFound):
        await reader.pages.shown(new_id())


async def test_pages_that_nobody_asks_for_make_room(drops: Drops, open_reader: Callable[..., Any]) -> None:
    reader: Reader = await open_reader(pages_max=3)
    wanted, *others = [await drops.made() for _ in range(8)]
    await reader.read(wanted)
    for other in others:
        assert reader.pages.at_hand(wanted["id"]) is not None
        await reader.read(other)
        assert len(reader.pages) <= 3
    assert [reader.pages.at_hand(drop["id"]) is not None for drop in others] == [False] * 5 + [True] * 2


async def test_pages_have_bytes_to_fill(drops: Drops, open_reader: Callable[..., Any]) -> None:
    small, large = await drops.made(), await drops.made(title="x" * 200)
    size = len((await drops.page(small)).content) * 2 + 300
    reader: Reader = await open_reader(bytes_max=size)
    await reader.read(small)
    assert len(reader.pages) == 1
    await reader.read(large)
    assert len(reader.pages) == 1
    assert reader.pages.at_hand(large["id"]) is not None
    tiny: Reader = await open_reader(bytes_max=100)
    assert (await tiny.read(small)).version == 1
    assert len(tiny.pages) == 0


async def test_every_process_is_fresh_within_100_ms_of_a_commit(drops: Drops, database_url: str) -> None:
    """By real clocks: two processes' pages are read without a pause while a third sells."""
    drop = await drops.made(stock=1000)
    databases = [WatchedDatabase(database_url) for _ in range(2)]
    processes = [DropPages(database, DatabaseClock()) for database in databases]
    reads: list[list[tuple[float, int]]] = [[], []]  # when a read began, and the version that it got
    sold = asyncio.Event()

    async def read(pages: DropPages, seen: list[tuple[float, int]]) -> None:
        while not sold.is_set():
            began_at = time.monotonic()
            page = pages.at_hand(drop["id"]) or await pages.find(drop["id"])
            assert page is not None
            seen.append((began_at, page.version))
            await asyncio.sleep(0)

    async with AsyncExitStack() as closing, asyncio.TaskGroup() as readers:
        for database, pages, seen in zip(databases, processes, reads, strict=True):
            await database.open()
            closing.push_async_callback(database.close)
            closing.push_async_callback(pages.close)
            readers.create_task(read(pages, seen))
        commits = []
        for version in range(2, 12):
            await drops.reserve(drop)
            commits.append((time.monotonic(), version))
            await reached(lambda wanted=version: all(seen and seen[-1][1] >= wanted for seen in reads))  # type: ignore[misc]
        sold.set()

    for database, seen in zip(databases, reads, strict=True):
        versions = [version for _, version in seen]
        assert versions == sorted(versions)
        assert seen[-1][0] >= commits[0][0] + 0.1
        for committed_at, version in commits:
            late = [got for began_at, got in seen if began_at >= committed_at + 0.1]
            assert all(got >= version for got in late)
        # All of this by few questions: that is what is being tested.
        assert database.asked < len(seen) / 10


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)
