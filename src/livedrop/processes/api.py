"""The API process: everything that answers HTTP, wired and served."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import structlog
import uvicorn
import uvloop
from litestar.types import ASGIApp

from livedrop.accounts import hear_revocations, watch_revocations
from livedrop.kit.database import Database
from livedrop.kit.starting import CannotStart
from livedrop.payments.providers.sandbox import SandboxProvider
from livedrop.payments.sandbox.wire import webhook_secret
from livedrop.processes.database import running_database
from livedrop.processes.wiring import MakeTill, wire
from livedrop.settings import Settings
from livedrop.stock import Till
from livedrop.web.cross_origin import cross_origin

log = structlog.get_logger("livedrop.api")

CONNECTIONS_MAX = 16
READERS_MAX = 2
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 8
BACKLOG_MAX = 2_048


def run(settings: Settings, *, fd: int | None = None) -> None:
    """Serves until SIGTERM or SIGINT; `fd`: a listening socket to take over. Raises `CannotStart`."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, fd))


async def _serve(settings: Settings, fd: int | None) -> None:
    listener = socket.socket(fileno=fd) if fd is not None else _listen(settings.host, settings.port)
    async with running_database(settings) as database_url, api(settings, database_url) as application:
        server = Server(uvicorn_config(application))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, server.stop)
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


def uvicorn_config(application: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        cast(Any, application),  # uvicorn and Litestar type the same protocol differently
        loop="none",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class Server(uvicorn.Server):
    """uvicorn, leaving the signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG_MAX)
    except OSError as error:
        raise CannotStart(f"LiveDrop can't listen on port {port} of {host}: {error.strerror}.") from None
