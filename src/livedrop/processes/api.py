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
from livedrop.processes.database import running_database
from livedrop.processes.serving import Server, collect_less, handed, listen
from livedrop.processes.wiring import MakeTill, wire
from livedrop.settings import Settings
from livedrop.stock import Till
from livedrop.web.cross_origin import cross_origin

log = structlog.get_logger("livedrop.api")

CONNECTIONS_MAX = 16
READERS_MAX = 2
GRACE_SECONDS = 8


def run(settings: Settings, *, fd: int | None = None) -> None:
    """Serves until SIGTERM or SIGINT; `fd`: a listening socket to take over. Raises `CannotStart`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
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
    database = await Database(database_url, connections_max=CONNECTIONS_MAX, application_name="livedrop api").open()
    provider = await SandboxProvider(
        settings.provider_url, webhook_secrets=[webhook_secret(key) for key in settings.secret_keys]
    ).open()
    # Of their own, so that a crowd's readers never wait behind those who write.
    readers = await Database(database_url, connections_max=READERS_MAX, application_name="livedrop pages").open()
    wired = wire(settings, database, provider, readers=readers, make_till=make_till)
    await hear_revocations(database, wired.guard)
    watching = asyncio.create_task(watch_revocations(database, wired.guard), name="revocations")
    try:
        yield cross_origin(wired.application, settings.cors_origins)
    finally:
        watching.cancel()
        await wired.cashier.close()
        await wired.till.close()
        await wired.pages.close()
        wired.passwords.close()
        await provider.close()
        await readers.close()
        await database.close()
