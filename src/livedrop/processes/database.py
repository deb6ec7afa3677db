"""The database that a command works on: that of the settings, or the data folder's own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit

import asyncpg

from livedrop.kit.database import CONNECT_TIMEOUT_SECONDS, is_away
from livedrop.kit.revisions import require_newest, require_version
from livedrop.kit.starting import CannotStart
from livedrop.processes.embedded import embedded_database
from livedrop.settings import Settings


@asynccontextmanager
async def running_database(settings: Settings, *, migrated: bool = True) -> AsyncIterator[str]:
    """The URL of a database that answers: LIVEDROP_DATABASE_URL, or our own server, which runs while the block does.

    Raises `CannotStart` with one clear sentence; `migrated`: also where its tables are not those of this code.
    """
    if settings.database_url is not None:
        await _require(settings.database_url, migrated)
        yield settings.database_url
        return
    async with embedded_database(settings.data_dir, may_create=settings.development) as url:
        await _require(url, migrated)
        yield url


@contextmanager
def told_in_one_sentence() -> Iterator[None]:
    """A process that can't start because its database goes away at that moment says so, and may be started again."""
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        ConnectionError,
        FileNotFoundError,  # its socket is gone
        TimeoutError,
    ) as error:
        if not is_away(error):
            raise
        raise CannotStart(f"The database went away: {_reason(error)}.") from None


async def _require(url: str, migrated: bool) -> None:
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
        try:
            require_version(int(await connection.fetchval("SHOW server_version_num")))
            if migrated:
                await require_newest(connection)
        finally:
            await connection.close()
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotStart(f"The database {shown(url)} can't be used: {_reason(error)}.") from None


def shown(url: str) -> str:
    """The URL without its password and options."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"it did not answer within {CONNECT_TIMEOUT_SECONDS:.0f} s"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)  # below 0: a name not found
    said = str(error) or type(error).__name__
    return said.splitlines()[0].rstrip(".")
