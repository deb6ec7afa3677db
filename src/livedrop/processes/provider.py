"""The sandbox payment provider, a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
import uvloop

from livedrop.kit.database import is_away
from livedrop.kit.starting import CannotStart
from livedrop.payments.sandbox.application import Application
from livedrop.payments.sandbox.charge import Charges
from livedrop.payments.sandbox.deliver import RETRY_FIRST_SECONDS, Deliveries
from livedrop.payments.sandbox.rules import Delays
from livedrop.payments.sandbox.tables import SandboxDatabase, create_tables

KEEP_ALIVE_SECONDS = 75
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
    listener = listen(host, port) if fd is None else socket.socket(fileno=fd)

    async def serve() -> None:
        async with sandbox_server(database_url, webhook_secret, public_url) as server:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, server.stop)
            await server.serve(sockets=[listener])

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())
    except Exception as error:
        if not is_away(error):
            raise
        raise CannotStart(f"The sandbox provider can't reach its database: {error}") from None


class Server(uvicorn.Server):
    """uvicorn, leaving the signals to the process."""

    def __init__(self, application: Application) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._application = application

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Ends `serve`; to be called in its loop."""
        self.should_exit = True
        self._application.stop_waiting()


@contextlib.asynccontextmanager
async def sandbox_server(
    database_url: str,
    webhook_secret: bytes,
    public_url: str,
    *,
    delays: Delays = Delays(),  # noqa: B008  frozen
    retry_first_seconds: float = RETRY_FIRST_SECONDS,
) -> AsyncIterator[Server]:
    """The whole sandbox, its tables made and its webhooks on their way; the caller serves and stops it."""
    database = SandboxDatabase(database_url)
    await database.open()
    try:
        await create_tables(database)
        deliveries = Deliveries(database, public_url, webhook_secret, retry_first_seconds=retry_first_seconds)
        charges = Charges(database, delays, deliveries.wake)
        delivering = asyncio.create_task(deliveries.run(), name="sandbox-webhooks")
        try:
            yield Server(Application(database, charges, delays, deliveries.wake))
        finally:
            delivering.cancel()
            await asyncio.wait([delivering])
    finally:
        await database.close()


def listen(host: str, port: int) -> socket.socket:
    try:
        bound = socket.create_server((host, port))
    except OSError as error:
        raise CannotStart(f"The sandbox provider can't listen at {host}:{port}: {error.strerror}.") from None
    # Made again from its descriptor, it knows that it is TCP, and asyncio then sets TCP_NODELAY on what it accepts;
    # otherwise each answer waits 40 ms for the acknowledgement of its own headers.
    return socket.socket(fileno=bound.detach())
