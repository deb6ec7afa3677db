"""The PostgreSQL of the data folder: whoever comes first starts it, all others join it.

A lock on a file says who: it is held by the process that started the server and by every process of the server,
so it is free only when none of them lives. Who joins keeps an eye on it, and starts a server when it gets free.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from livedrop.kit.postgres import (
    MAJOR_VERSION,
    PORT,
    Server,
    bound_log,
    initialise,
    is_ready,
    major_version,
    private_folder,
    url_of,
)
from livedrop.kit.starting import CannotStart

log = structlog.get_logger("livedrop.embedded")

JOIN_TIMEOUT_SECONDS = 120.0
JOIN_POLL_SECONDS = 0.1
LOCK_POLL_SECONDS = 0.5  # how long a joined server may be gone before we start one
LOG_CHECK_SECONDS = 60.0
RESTART_PAUSE_FIRST_SECONDS = 0.2
RESTART_PAUSE_MAX_SECONDS = 5.0


@asynccontextmanager
async def embedded_database(data_dir: Path, *, may_create: bool) -> AsyncIterator[str]:
    """The URL of the data folder's PostgreSQL, which runs while the block does. Raises `CannotStart`.

    `may_create`: whether a data folder without a database gets a new one.
    """
    if not may_create and major_version(data_dir / "postgres") is None:
        raise CannotStart(
            f"There is no database in {data_dir}, and production mode makes none: set LIVEDROP_DATABASE_URL, "
            "or run `livedrop up` there first."
        )
    embedded = Embedded(data_dir)
    await embedded.open()
    try:
        yield embedded.url
    finally:
        await embedded.close()


class Embedded:
    """One process's hold on the server of a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._data = data_dir / "postgres"
        self._log = data_dir / "postgres.log"
        self._sockets = sockets_folder(data_dir)
        self.url = url_of(self._sockets)
        self._lock: int | None = None
        self._server: Server | None = None  # None while the server is another process's
        self._keeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Joins the running server or starts one. Raises `CannotStart`."""
        self._lock = _open_lock(self._data_dir)
        try:
            await self._start_or_join()
        except BaseException:
            await self.close()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="embedded database")

    async def close(self) -> None:
        """Stops the server where it is ours; those who joined it start one of their own."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        if self._server is not None:
            await self._server.stop()
            with suppress(OSError):
                self._sockets.rmdir()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _start_or_join(self) -> None:
        deadline = time.monotonic() + JOIN_TIMEOUT_SECONDS
        while not await self._started() and not self._joined():
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"Another process holds {self._data_dir}, but its PostgreSQL takes no connections; "
                    f"{self._log} tells more."
                )
            await asyncio.sleep(JOIN_POLL_SECONDS)

    async def _started(self) -> bool:
        """Starts the server if nobody holds it."""
        assert self._lock is not None, "the lock file is not open"
        if not _try_lock(self._lock):
            return False
        try:
            self._server = await self._start((self._lock,))
        except OSError as error:
            raise cannot_write(self._data_dir, error) from None
        return True

    async def _start(self, held: tuple[int]) -> Server:
        version = major_version(self._data)
        if version is None:
            log.info("making_database", folder=str(self._data))
            await initialise(self._data, held_files=held)
        elif version != str(MAJOR_VERSION):
            raise CannotStart(
                f"{self._data} was made by PostgreSQL {version} and this LiveDrop brings {MAJOR_VERSION}: "
                "use the LiveDrop that made it, or another data folder."
            )
        private_folder(self._sockets)
        server = Server(self._data, sockets=self._sockets, log=self._log, held_files=held)
        await server.start()
        return server

    def _joined(self) -> bool:
        """Whether somebody else's server takes connections."""
        return is_ready(self._data) and _listens(self._sockets)

    async def _keep(self) -> None:
        """Starts the server again when it ended, and one of our own when the one that we joined is gone."""
        pause_seconds = RESTART_PAUSE_FIRST_SECONDS
        while True:
            if self._server is None:
                await asyncio.sleep(LOCK_POLL_SECONDS)
            else:
                await self._watch(self._server)
                await asyncio.sleep(pause_seconds)
            try:
                if self._server is not None:
                    await self._server.start()
                elif await self._started():
                    log.warning("database_taken_over", folder=str(self._data_dir))
                pause_seconds = RESTART_PAUSE_FIRST_SECONDS
            except (CannotStart, OSError) as error:
                log.error("database_not_started", error=str(error))
                pause_seconds = min(pause_seconds * 2, RESTART_PAUSE_MAX_SECONDS)

    async def _watch(self, server: Server) -> None:
        """Returns when the server has ended; until then keeps its log in bounds."""
        while True:
            try:
                code = await asyncio.wait_for(server.ended(), LOG_CHECK_SECONDS)
            except TimeoutError:
                bound_log(self._log)
            else:
                log.warning("database_ended", code=code, log=str(self._log))
                return


def sockets_folder(data_dir: Path) -> Path:
    """A short path that every command finds again: a socket's path holds 107 bytes, a data folder's many more."""
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    return Path("/tmp") / f"livedrop-{os.geteuid()}-{digest}"  # noqa: S108 - taken only if it is ours alone


def _open_lock(data_dir: Path) -> int:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(data_dir / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise cannot_write(data_dir, error) from None


def cannot_write(data_dir: Path, error: OSError) -> CannotStart:
    if error.errno == errno.ENOSPC:
        return CannotStart(f"The disk of the data folder {data_dir} is full.")
    return CannotStart(
        f"The data folder {data_dir} can't be written ({os.strerror(error.errno or 0)}): "
        "choose another with --data-dir or LIVEDROP_DATA_DIR."
    )


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _listens(sockets: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(sockets / f".s.PGSQL.{PORT}"))
        except OSError:
            return False
    return True
