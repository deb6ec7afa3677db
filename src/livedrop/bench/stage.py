"""The stage of a benchmark: a database of its own, the processes of LiveDrop, drops and buyers."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import psutil

from livedrop.accounts import Tokens
from livedrop.accounts.login_in_development import development_users
from livedrop.catalogue.create import create
from livedrop.catalogue.product import NewProduct
from livedrop.crowd.load import Shot, Target, fire
from livedrop.drops.drop import NewDrop
from livedrop.drops.schedule import schedule
from livedrop.follows.become import NewCreator, become_creator
from livedrop.kit.children import spawn, stop
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.kit.migrations import migrate
from livedrop.processes.embedded import embedded_database
from livedrop.settings import Settings, read, written

READY_TIMEOUT_SECONDS = 30.0
TOKEN_SECONDS = 12 * 3600
STOCK_PLENTY = 2_000_000_000


class Buyer(msgspec.Struct, frozen=True):
    user_id: UUID
    token: str


class Server(msgspec.Struct):
    """A server under measure: where it listens, and its processes."""

    target: Target
    processes: list[psutil.Process]

    def cpu_seconds(self) -> float:
        """CPU time that its processes have used so far."""
        return sum(_cpu(process) for process in self.processes)


class Stage:
    """Everything that scenarios stand on: PostgreSQL with real fsync, one provider, one API process, buyers."""

    def __init__(self, database: Database, settings: Settings, api: Server, provider: Server) -> None:
        self.database = database
        self.settings = settings
        self.api = api
        self.provider = provider
        self._tokens = Tokens(settings.secret_keys)
        self.creator_id: UUID | None = None

    def postgres_cpu_seconds(self) -> float:
        """CPU time of PostgreSQL: its children that live, and those that it has waited for."""
        total = 0.0
        for process in psutil.process_iter(["name"]):
            if process.info["name"] == "postgres" and _below(process, os.getpid()):
                total += _cpu(process)
        return total

    async def buyers(self, count: int) -> list[Buyer]:
        """Signed-in users; they are made by statement, since signing in is not what is measured."""
        handles = [f"bench-{number}" for number in range(count)]
        made: list[Buyer] = []
        for start in range(0, count, 1_000):
            async with self.database.transaction() as tx:
                users = await development_users(tx, handles[start : start + 1_000])
            made += [
                Buyer(user_id, self._tokens.issue(user_id, new_id(), lifetime_seconds=TOKEN_SECONDS))
                for user_id in users.values()
            ]
        return made

    async def drop(self, *, stock: int = STOCK_PLENTY, limit: int | None = 1_000_000) -> UUID:
        """A live drop with a limit per customer, so that the whole rule is at work."""
        async with self.database.transaction() as tx:
            if self.creator_id is None:
                self.creator_id = (await development_users(tx, ["bench-creator"]))["bench-creator"]
                await become_creator(tx, self.creator_id, NewCreator(handle="bench", display_name="Bench"))
            product = await create(tx, self.creator_id, NewProduct(title="Thing", price_minor=1_999, currency="EUR"))
            now = datetime.now(UTC)
            body = NewDrop(
                product_id=product.id,
                starts_at=now - timedelta(seconds=5),
                stock=stock,
                per_customer_limit=limit,
                hold_seconds=86_400,
            )
            return (await schedule(tx, self.creator_id, body, 86_400)).id


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """A stage in an empty folder, gone when the block ends."""
    async with embedded_database(folder, may_create=True) as database_url:
        await migrate(database_url)
        environment = {
            "LIVEDROP_DATABASE_URL": database_url,
            "LIVEDROP_MODE": "development",
            "LIVEDROP_SECRET_KEY": secrets.token_urlsafe(32),
            "LIVEDROP_LOG_LEVEL": "error",
        }
        provider_socket, api_socket = _listener(), _listener()
        environment["LIVEDROP_PROVIDER_URL"] = _url(provider_socket)
        environment["LIVEDROP_PUBLIC_URL"] = _url(api_socket)
        settings = read(environment)
        database = await Database(database_url, connections_max=8, application_name="livedrop bench").open()
        try:
            async with (
                served(settings, ["-m", "livedrop", "provider"], provider_socket, ready=False) as provider,
                served(settings, ["-m", "livedrop", "api"], api_socket) as api,
            ):
                yield Stage(database, settings, api, provider)
        finally:
            await database.close()


@asynccontextmanager
async def served(
    settings: Settings,
    command: Sequence[str],
    listener: socket.socket | None = None,
    *,
    ready: bool = True,
    positional: Sequence[str] | None = None,
) -> AsyncIterator[Server]:
    """A Python process that serves on a socket of ours while the block runs."""
    listener = listener or _listener()
    handed = [f"--fd={listener.fileno()}"] if positional is None else [str(listener.fileno()), *positional]
    process = spawn(
        [sys.executable, *command, *handed],
        death_signal=signal.SIGKILL,
        environment={**os.environ, **written(settings)},
        passed_files=[listener.fileno()],
    )
    host, port = listener.getsockname()[:2]
    server = Server(Target(host, port), [psutil.Process(process.pid)])
    try:
        if ready:
            await _ready(server.target)
        yield server
    finally:
        await stop(process, (signal.SIGTERM, 10.0))
        listener.close()


async def _ready(target: Target) -> None:
    async with asyncio.timeout(READY_TIMEOUT_SECONDS):
        while True:
            shot = Shot(target.request("GET", "/readyz"))
            await fire(target, [shot], connections=1)
            if shot.status == 200:
                return
            await asyncio.sleep(0.05)


def _listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=2_048)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _below(process: psutil.Process, ancestor: int) -> bool:
    try:
        return any(parent.pid == ancestor for parent in process.parents())
    except psutil.NoSuchProcess:
        return False
