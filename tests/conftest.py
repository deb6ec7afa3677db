"""A real PostgreSQL for every test: one server for the whole run, a database of its own for each test."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import asyncpg
import psutil
import pytest
from hypothesis import HealthCheck, settings

from livedrop.kit.database import Database
from livedrop.kit.migrations import migrate
from livedrop.kit.postgres import DATABASE, Server, initialise

# The same examples in every run; `--hypothesis-profile long --timeout 0` looks further, and elsewhere each time.
_ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", _ANY_SPEED, derandomize=True, database=None)
settings.register_profile("long", _ANY_SPEED, max_examples=3_000)
settings.load_profile("quick")

TEMPLATE = "template_livedrop"

MEMORY = Path("/dev/shm")
MEMORY_FREE_MIN_BYTES = 2 * 2**30

# No test crashes the shared server, so its data may be lost with the machine; it gains the speed. Crash tests
# take `own_postgres`, which keeps all promises.
_SHARED_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",  # it would hold the template while a test clones it
}

_database_numbers = itertools.count(1)


class TestServer(Server):
    """A server in a temporary folder of its own."""

    __test__ = False

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        self.folder = folder
        super().__init__(folder / "data", sockets=folder, log=folder / "log", options=options)

    @classmethod
    async def make(cls, options: Mapping[str, str] = MappingProxyType({}), *, place: str = "/tmp") -> TestServer:
        server = cls(Path(tempfile.mkdtemp(prefix="livedrop-test-", dir=place)), options)
        await initialise(server.data)
        await server.start()
        return server

    async def remove(self) -> None:
        await self.stop_immediately()
        shutil.rmtree(self.folder)

    def url_for(self, database: str) -> str:
        return _url_for(self.url, database)


def _url_for(url: str, database: str) -> str:
    return url.replace(f"@/{DATABASE}?", f"@/{database}?")


async def _shared_server() -> TestServer:
    server = await TestServer.make(_SHARED_OPTIONS, place=_fast_place())
    admin = await asyncpg.connect(server.url)
    try:
        await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    finally:
        await admin.close()
    await migrate(server.url_for(TEMPLATE))
    return server


def _fast_place() -> str:
    """In memory where there is room: a run copies and drops a thousand databases (measured: 3 × faster)."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return "/tmp"
    _remove_leftovers(MEMORY)
    return str(MEMORY) if shutil.disk_usage(MEMORY).free > MEMORY_FREE_MIN_BYTES else "/tmp"


def _remove_leftovers(place: Path) -> None:
    """What runs that were killed left in memory: the servers died with them."""
    for folder in place.glob("livedrop-test-*"):
        with suppress(OSError, ValueError):  # somebody else's, or being made just now
            pid = int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])
            if folder.stat().st_uid == os.geteuid() and not psutil.pid_exists(pid):
                shutil.rmtree(folder)


class SharedServer:
    """Started by the process that leads the run (pytest-xdist's controller), told by it to its workers."""

    def __init__(self) -> None:
        self._server: TestServer | None = None

    def url(self) -> str:
        if self._server is None:
            self._server = asyncio.run(_shared_server())
        return self._server.url

    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["postgres_url"] = self.url()

    def pytest_unconfigure(self) -> None:
        if self._server is not None:
            asyncio.run(self._server.remove())
            self._server = None


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SharedServer(), "shared_postgres")


@pytest.fixture(scope="session")
def shared_postgres_url(request: pytest.FixtureRequest) -> str:
    """The server's own database; a test makes its databases with `database_url`."""
    if hasattr(request.config, "workerinput"):
        url: str = request.config.workerinput["postgres_url"]
        return url
    shared = request.config.pluginmanager.get_plugin("shared_postgres")
    assert isinstance(shared, SharedServer)
    return shared.url()


@pytest.fixture
async def database_url(shared_postgres_url: str) -> AsyncIterator[str]:
    """A database of this test's own, empty and migrated; dropped afterwards."""
    async with _database_of(shared_postgres_url, TEMPLATE) as url:
        yield url


@pytest.fixture
async def bare_database_url(shared_postgres_url: str) -> AsyncIterator[str]:
    """The same without any tables."""
    async with _database_of(shared_postgres_url, "template1") as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open pool on `database_url`."""
    opened = await Database(database_url).open()
    yield opened
    await opened.close()


@pytest.fixture
async def own_postgres() -> AsyncIterator[TestServer]:
    """A server of this test's own, as durable as in production, to be stopped and started at will.

    Its `url` leads to an empty, migrated database. It has `stop_immediately()`, `stop()` and `start()`.
    """
    server = await TestServer.make()
    await migrate(server.url)
    yield server
    await server.remove()


@asynccontextmanager
async def _database_of(server_url: str, template: str) -> AsyncIterator[str]:
    name = f"test_{os.getpid()}_{next(_database_numbers)}"
    # A third of the time of the strategy wal_log.
    await _administer(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield _url_for(server_url, name)
    finally:
        await _administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _administer(url: str, statement: str) -> None:
    admin = await asyncpg.connect(url)
    try:
        await admin.execute(statement)
    finally:
        await admin.close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="livedrop-test-", dir="/tmp") as folder:
        yield Path(folder)
