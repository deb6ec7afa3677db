"""The database that a command works on, and the one sentence where it can't be used."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from livedrop.kit.migrations import migrate
from livedrop.kit.starting import CannotStart
from livedrop.processes.database import running_database
from livedrop.settings import read


async def value(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_production_makes_no_database(short_folder: Path) -> None:
    settings = read({"LIVEDROP_DATA_DIR": str(short_folder / "data")}, signs=False)
    with pytest.raises(CannotStart, match="production mode makes none"):
        await running_database(settings).__aenter__()
    assert not (short_folder / "data").exists()


async def test_production_works_on_a_database_that_is_there(short_folder: Path) -> None:
    environment = {"LIVEDROP_DATA_DIR": str(short_folder / "data")}
    async with running_database(read(environment, mode="development"), migrated=False) as url:
        await migrate(url)
    async with running_database(read(environment, signs=False)) as url:
        assert await value(url, "SELECT count(*) FROM orders") == 0


async def test_tables_that_are_missing_or_newer_are_told_in_one_sentence(bare_database_url: str) -> None:
    settings = read({"LIVEDROP_DATABASE_URL": bare_database_url}, signs=False)
    with pytest.raises(CannotStart, match="run `livedrop migrate`"):
        await running_database(settings).__aenter__()
    await migrate(bare_database_url)
    async with running_database(settings) as url:
        assert url == bare_database_url
    await value(bare_database_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CannotStart, match="newer LiveDrop"):
        await running_database(settings).__aenter__()
    with pytest.raises(CannotStart, match="newer LiveDrop"):
        await migrate(bare_database_url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://livedrop:very-secret@127.0.0.1:1/shop", "127.0.0.1:1/shop can't be used: Connection refused"),
        ("postgresql://livedrop:very-secret@nowhere.invalid/shop", "nowhere.invalid/shop can't be used: "),
        ("postgresql://livedrop@/shop?host=/nowhere", "can't be used: "),
        ("postgresql://livedrop@127.0.0.1:port/shop", "can't be used: "),
    ],
)
async def test_an_unreachable_database_is_told_in_one_sentence(url: str, reason: str) -> None:
    with pytest.raises(CannotStart) as refused:
        await running_database(read({"LIVEDROP_DATABASE_URL": url}, signs=False)).__aenter__()
    assert reason in str(refused.value)
    assert "very-secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_database_that_does_not_exist_is_told(shared_postgres_url: str) -> None:
    url = shared_postgres_url.replace("/postgres?", "/nothing_here?")
    with pytest.raises(CannotStart, match='database "nothing_here" does not exist'):
        await running_database(read({"LIVEDROP_DATABASE_URL": url}, signs=False)).__aenter__()
