"""The API process: everything that answers HTTP, wired and served."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
import uvloop
from litestar.types import ASGIApp

from livedrop.accounts import hear_revocations, watch_revocations
from livedrop.kit.database import Database
from livedrop.payments.providers.sandbox import SandboxProvider
from livedrop.payments.sandbox.wire import webhook_secret
from livedrop.processes.database import running_database, told_in_one_sentence
from livedrop.processes.serving import Server, collect_less, handed, listen
from livedrop.processes.wiring import MakeTill, wire
from livedrop.settings import Settings
from livedrop.stock import Till
from livedrop.web.cross_origin import cross_origin

log = structlog.get_logger("livedrop.api")

# Of all API processes of a machine together, so that they fit PostgreSQL's `max_connections` (kit/postgres.py); each
# has one more for its till.
CONNECTIONS_MAX_OF_ALL = 96
CONNECTIONS_MAX = 16
READERS_MAX = 2
GRACE_SECONDS = 8


def run(settings: Settings, *, fd: int | None = None) -> None:
    """Serves until SIGTERM or SIGINT; `fd`: a listening socket to take over. Raises `CannotStart`."""
    with told_in_one_sentence(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, fd))


async def _serve(settings: Settings, fd: int | None) -> None:
    listener = handed(fd) if fd is not None else listen(settings.host, settings.port)
    async with running_database(settings) as database_url, api(settings, database_url) as application:
        server = Server(application, grace_seconds=GRACE_SECONDS)
        server.stop_on_signals()
        collect_less()
        log.info("serving", address=settings.public_url)
        await server.serve(sockets=[listener])


@contextlib.asynccontextmanager
async def api(settings: Settings, database_url: str, *, make_till: MakeTill = Till) -> AsyncIterator[ASGIApp]:
    """The whole application, open while the block runs."""
    async with contextlib.AsyncExitStack() as opened:

        async def pool(connections_max: int, name: str) -> Database:
            database = Database(database_url, connections_max=connections_max, application_name=name)
            opened.push_async_callback(database.close)
            return await database.open()

        database = await pool(CONNECTIONS_MAX, "livedrop api")
        # Of their own, so that a crowd's readers never wait behind those who write.
        readers = await pool(READERS_MAX, "livedrop pages")
        provider = await SandboxProvider(
            settings.provider_url, webhook_secrets=[webhook_secret(key) for key in settings.secret_keys]
        ).open()
        opened.push_async_callback(provider.close)
        wired = wire(settings, database, provider, readers=readers, make_till=make_till)
        # Closed in the opposite order: charges that are under way go to the till, which settles what waits.
        opened.callback(wired.passwords.close)
        opened.push_async_callback(wired.pages.close)
        opened.push_async_callback(wired.till.close)
        opened.push_async_callback(wired.cashier.close)
        await hear_revocations(database, wired.guard)
        watching = asyncio.create_task(watch_revocations(database, wired.guard), name="revocations")
        opened.callback(watching.cancel)
        yield cross_origin(wired.application, settings.cors_origins)
