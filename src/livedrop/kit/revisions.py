"""Which version of the tables this code needs, and whether a database has it; without Alembic, which is heavy."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from livedrop.kit.database import Connection
from livedrop.kit.starting import CannotStart

POSTGRESQL_VERSION_MIN = 150_000


class WrongDatabase(CannotStart):
    """The database can't be used as it is; the message says why and what to do."""


def scripts_folder() -> Path:
    """Where the migrations lie: inside the installed package, or beside `src/` in a checkout."""
    packaged = Path(__file__).parent.parent / "migrations"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "migrations"


def newest_revision() -> str:
    """The last revision of this code: its file's name begins with it, and they are numbered in order."""
    return max(script.name.partition("_")[0] for script in scripts_folder().glob("versions/[0-9]*_*.py"))


def require_version(server_version: int) -> None:
    """Raises `WrongDatabase` where PostgreSQL is too old; `server_version` as `SHOW server_version_num` says it."""
    if server_version < POSTGRESQL_VERSION_MIN:
        raise WrongDatabase(f"PostgreSQL 15 or newer is needed; this server is version {server_version // 10_000}.")


async def require_newest(connection: Connection) -> None:
    """Raises `WrongDatabase` where the tables are not those of this code."""
    try:
        present = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        present = None
    wanted = newest_revision()
    if present is None:
        raise WrongDatabase("The database has no tables yet: run `livedrop migrate`.")
    if present < wanted:
        raise WrongDatabase(f"The tables are at version {present}, {wanted} is needed: run `livedrop migrate`.")
    if present > wanted:
        raise made_by_newer(present)


def made_by_newer(revision: str) -> WrongDatabase:
    return WrongDatabase(f"The database was migrated by a newer LiveDrop (version {revision}): install that one.")
