"""`livedrop migrate`: brings the tables to this version."""

from __future__ import annotations

import asyncio

from livedrop.kit.database import Database
from livedrop.kit.revisions import WrongDatabase, require_newest
from livedrop.processes.database import running_database
from livedrop.settings import Settings


def run(settings: Settings, *, demo: bool) -> None:
    """Migrates and, where `demo`, fills an empty database. Raises `CannotStart`."""
    asyncio.run(_migrate(settings, demo=demo))


async def _migrate(settings: Settings, *, demo: bool) -> None:
    async with running_database(settings, migrated=False) as database_url:
        if not await _is_newest(database_url):
            from livedrop.kit.migrations import migrate  # takes half a second, and most starts don't need it

            await migrate(database_url)
        if demo:
            from livedrop.processes.seed import seed_demo

            await seed_demo(database_url, settings)


async def _is_newest(database_url: str) -> bool:
    connection = await Database(database_url).connect()
    try:
        await require_newest(connection)
    except WrongDatabase:
        return False
    finally:
        await connection.close()
    return True
