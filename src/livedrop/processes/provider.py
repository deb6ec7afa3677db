"""The sandbox payment provider, a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import uvloop

from livedrop.kit.database import is_away
from livedrop.kit.starting import CannotStart
from livedrop.payments.sandbox.application import Application
from livedrop.payments.sandbox.charge import Charges
from livedrop.payments.sandbox.deliver import RETRY_FIRST_SECONDS, Deliveries
from livedrop.payments.sandbox.rules import Delays
from livedrop.payments.sandbox.tables import SandboxDatabase, create_tables
from livedrop.processes.serving import Server, collect_less, handed, listen

GRACE_SECONDS = 2


def run(
    *,
    database_url: str,
    webhook_secret: bytes,
    public_url: str,
    host: str = "127.0.0.1",
    port: int = 4010,
    fd: int | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT. `fd`: a bound TCP socket to use in place of `host` and `port`; `public_url`:
    the API's address, where webhooks go. Raises `CannotStart`."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s provider %(levelname)s %(message)s")
    listener = listen(host, port) if fd is None else handed(fd)

    async def serve() -> None:
        async with sandbox_server(database_url, webhook_secret, public_url) as server:
            server.stop_on_signals()
            collect_less()
            await server.serve(sockets=[listener])

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())
    except Exception as error:
        if not is_away(error):
            raise
        raise CannotStart(f"The sandbox provider can't reach its database: {error}") from None


class SandboxServer(Server):
    """Hangs up on whom the sandbox keeps waiting on purpose, when it stops."""

    def __init__(self, application: Application) -> None:
        super().__init__(application, grace_seconds=GRACE_SECONDS)
        self._application = application

    def stop(self) -> None:
        super().stop()
        self._application.stop_waiting()


@contextlib.asynccontextmanager
async def sandbox_server(
    database_url: str,
    webhook_secret: bytes,
    public_url: str,
    *,
    delays: Delays = Delays(),  # noqa: B008  frozen
    retry_first_seconds: float = RETRY_FIRST_SECONDS,
) -> AsyncIterator[SandboxServer]:
    """The whole sandbox, its tables made and its webhooks on their way; the caller serves and stops it."""
    database = SandboxDatabase(database_url)
    await database.open()
    try:
        await create_tables(database)
        deliveries = Deliveries(database, public_url, webhook_secret, retry_first_seconds=retry_first_seconds)
        charges = Charges(database, delays, deliveries.wake)
        delivering = asyncio.create_task(deliveries.run(), name="sandbox-webhooks")
        try:
            yield SandboxServer(Application(database, charges, delays, deliveries.wake))
        finally:
            delivering.cancel()
            await asyncio.wait([delivering])
    finally:
        await database.close()
