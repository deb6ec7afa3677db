"""Alembic over asyncpg: brings a database's tables to the version that this code needs."""

from __future__ import annotations

import asyncio

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from livedrop.kit.revisions import made_by_newer, require_version, scripts_folder

# One migration at a time, however many processes start at once: an advisory lock for the transaction.
_LOCK = "SELECT pg_advisory_xact_lock(7061736564726)"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    return config


def _migrate(connection: Connection, target: str) -> None:
    server = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    require_version(server)
    connection.execute(text(_LOCK))
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is not None and current not in known:
        raise made_by_newer(current)
    config = _config()
    config.attributes["connection"] = connection
    if target != "base" and (target == "head" or target > (current or "")):
        command.upgrade(config, target)
    else:
        command.downgrade(config, target)


async def migrate(database_url: str, target: str = "head") -> None:
    """Takes the database to `target` ("head", a revision, or "base"), up or down, in one transaction.

    Raises `kit.revisions.WrongDatabase` when the server is too old or the tables are newer than this code.
    """
    engine = _engine(database_url)
    try:
        async with asyncio.timeout(120), engine.begin() as connection:
            await connection.run_sync(_migrate, target)
    finally:
        await engine.dispose()


async def version_present(database_url: str) -> str | None:
    """The revision that the database is at, or None for an empty one."""
    engine = _engine(database_url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    finally:
        await engine.dispose()


def _engine(url: str) -> AsyncEngine:
    """asyncpg reads the URL itself: SQLAlchemy would take `?sslmode=require` for an argument of Python's."""
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url, timeout=10), poolclass=NullPool
    )
