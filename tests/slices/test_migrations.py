"""The tables: made, taken back and made again, by one at a time, on servers that are new enough."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from livedrop.kit.migrations import migrate, version_present
from livedrop.kit.revisions import WrongDatabase, newest_revision, require_newest, require_version

_SCHEMA = """
SELECT string_agg(format('%s.%s %s', table_name, column_name, data_type), E'\n' ORDER BY table_name, ordinal_position)
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""


async def schema(url: str) -> str | None:
    connection = await asyncpg.connect(url)
    try:
        found: str | None = await connection.fetchval(_SCHEMA)
    finally:
        await connection.close()
    return found


async def test_up_down_and_up_again(bare_database_url: str) -> None:
    assert await version_present(bare_database_url) is None
    await migrate(bare_database_url)
    made = await schema(bare_database_url)
    assert made is not None
    assert "drop_heads.drop_id uuid" in made
    assert await version_present(bare_database_url) == newest_revision()

    await migrate(bare_database_url, "base")
    assert await schema(bare_database_url) is None

    await migrate(bare_database_url)
    assert await schema(bare_database_url) == made


async def test_what_a_url_asks_of_the_connection_is_kept(bare_database_url: str) -> None:
    """Red while SQLAlchemy read the URL: `?sslmode=require`, which most hosted servers need, was a TypeError."""
    url = f"{bare_database_url}&sslmode=prefer&application_name=migration"
    await migrate(url)
    assert await version_present(url) == newest_revision()


async def test_many_that_migrate_at_once_do_it_once(bare_database_url: str) -> None:
    await asyncio.gather(*(migrate(bare_database_url) for _ in range(6)))
    assert await version_present(bare_database_url) == newest_revision()


async def test_older_tables_are_refused_until_they_are_migrated(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await require_newest(connection)
        await connection.execute("UPDATE alembic_version SET version_num = '0000'")
        with pytest.raises(WrongDatabase, match="run `livedrop migrate`"):
            await require_newest(connection)
    finally:
        await connection.close()


@pytest.mark.parametrize(("server_version", "said"), [(140_012, "version 14"), (96_005, "version 9")])
def test_an_old_server_is_refused(server_version: int, said: str) -> None:
    with pytest.raises(WrongDatabase, match=f"15 or newer is needed; this server is {said}"):
        require_version(server_version)


def test_a_new_server_is_taken() -> None:
    require_version(150_000)
