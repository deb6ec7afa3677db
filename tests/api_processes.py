"""Real API processes over a test's database, each on a port of its own, with one sandbox provider behind them all."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from livedrop.accounts import Tokens
from livedrop.bench.stage import served
from livedrop.crowd.load import Target
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.settings import Mode, read
from livedrop.stock.audit import audit
from marketplace import SECRET, TOKEN_SECONDS, Person


@asynccontextmanager
async def api_processes(database_url: str, count: int, *, mode: Mode = "development") -> AsyncIterator[list[Target]]:
    """The addresses of `count` processes that serve while the block runs."""
    provider, *apis = [socket.create_server(("127.0.0.1", 0), backlog=2_048) for _ in range(count + 1)]
    settings = read(
        {
            "LIVEDROP_MODE": mode,
            "LIVEDROP_SECRET_KEY": SECRET,
            "LIVEDROP_DATABASE_URL": database_url,
            "LIVEDROP_PROVIDER_URL": _url_of(provider),
            "LIVEDROP_PUBLIC_URL": _url_of(apis[0]),
            "LIVEDROP_LOG_LEVEL": "error",
        }
    )
    async with AsyncExitStack() as running:
        await running.enter_async_context(served(settings, ["-m", "livedrop", "provider"], provider, ready=False))
        serving = [served(settings, ["-m", "livedrop", "api"], each) for each in apis]
        yield [server.target for server in await asyncio.gather(*map(running.enter_async_context, serving))]


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


async def signed_in(database: Database, count: int) -> list[Person]:
    """New users, made by statement: thousands of them in a moment."""
    ids = [new_id() for _ in range(count)]
    async with database.connection() as connection:
        await connection.execute("INSERT INTO users (id, name) SELECT unnest($1::uuid[]), 'Buyer'", ids)
    tokens = Tokens([SECRET])
    return [Person(str(id_), tokens.issue(id_, new_id(), lifetime_seconds=TOKEN_SECONDS)) for id_ in ids]


class ContinuousAudit:
    """Audits again and again while the block runs, and once more at its end; every audit must find all sound."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._auditing: asyncio.Task[None] | None = None
        self.audits = 0

    async def __aenter__(self) -> ContinuousAudit:
        self._auditing = asyncio.create_task(self._again_and_again())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._auditing is not None
        self._auditing.cancel()
        try:
            await self._auditing
        except asyncio.CancelledError:
            if kind is None:
                await self._audit()

    async def _again_and_again(self) -> None:
        while True:
            await self._audit()

    async def _audit(self) -> None:
        report = await audit(self._database)
        assert [(check.name, check.offenders) for check in report.broken] == []
        self.audits += 1
