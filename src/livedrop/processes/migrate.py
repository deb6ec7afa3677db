"""`livedrop migrate`: brings the tables to this version."""

from __future__ import annotations

import asyncio

from livedrop.kit.migrations import migrate
from livedrop.processes.database import running_database
from livedrop.settings import Settings


def run(settings: Settings, *, demo: bool) -> None:
    """Migrates and, where `demo`, fills an empty database. Raises `CannotStart`."""
    asyncio.run(_migrate(settings, demo=demo))


async def _migrate(settings: Settings, *, demo: bool) -> None:
    async with running_database(settings, migrated=False) as database_url:
        await migrate(database_url)
        if demo:
            from livedrop.processes.seed import seed_demo

            await seed_demo(database_url, settings)
