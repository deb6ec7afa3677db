"""The PostgreSQL of a data folder: started, joined, taken over, and gone with the process that started it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg
import psutil
import pytest

from livedrop.kit import postgres
from livedrop.kit.starting import CannotStart
from livedrop.processes import embedded
from livedrop.processes.embedded import embedded_database, sockets_folder

WAIT_SECONDS = 20.0

HOLD = """
import asyncio, sys
from pathlib import Path
from livedrop.kit import telemetry
from livedrop.processes.embedded import embedded_database

telemetry.configure("holder", level="info", development=False)

async def hold():
    async with embedded_database(Path(sys.argv[1]), may_create=True) as url:
        print(url, flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


@pytest.fixture
def data_dir(short_folder: Path) -> Iterator[Path]:
    folder = short_folder / "data"
    yield folder
    with suppress(FileNotFoundError):  # a killed process leaves its empty folder behind
        sockets_folder(folder).rmdir()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Every process whose command line or working directory tells of this data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(data_dir) in " ".join(process.cmdline()) or process.cwd().startswith(str(data_dir)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def postmaster_pid(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])


async def value(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def value_at_last(url: str, statement: str) -> object:
    """The same, waiting for a server that is being started."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            try:
                return await value(url, statement)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.02)


@contextmanager
def holder(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that holds the folder's server, and its URL."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(data_dir)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


async def test_keeps_its_data_and_its_promises(data_dir: Path) -> None:
    async with embedded_database(data_dir, may_create=True) as url:
        await value(url, "CREATE TABLE kept AS SELECT 7 AS number")
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert await value(url, f"SHOW {setting}") == "on"
        assert await value(url, "SHOW listen_addresses") == ""
    assert processes_of(data_dir) == []
    async with embedded_database(data_dir, may_create=False) as url:
        assert await value(url, "SELECT number FROM kept") == 7
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert not sockets_folder(data_dir).exists()


async def test_a_second_command_joins_and_takes_over_when_the_first_ends(data_dir: Path) -> None:
    async with embedded_database(data_dir, may_create=True) as first_url:
        await value(first_url, "CREATE TABLE kept AS SELECT 7 AS number")
        joined = embedded_database(data_dir, may_create=False)
        assert await joined.__aenter__() == first_url
        first_server = postmaster_pid(data_dir)
    assert await value_at_last(first_url, "SELECT number FROM kept") == 7
    assert postmaster_pid(data_dir) != first_server
    await joined.__aexit__(None, None, None)
    assert processes_of(data_dir) == []


async def test_many_that_start_at_once_share_one_server(data_dir: Path) -> None:
    held = [embedded_database(data_dir, may_create=True) for _ in range(4)]
    urls = await asyncio.gather(*(one.__aenter__() for one in held))
    assert len(set(urls)) == 1
    assert [await value(url, "SELECT 1") for url in urls] == [1] * 4
    for one in held:
        await one.__aexit__(None, None, None)
    assert processes_of(data_dir) == []


async def test_a_server_that_dies_is_started_again(data_dir: Path) -> None:
    async with embedded_database(data_dir, may_create=True) as url:
        await value(url, "CREATE TABLE kept AS SELECT 7 AS number")
        killed = postmaster_pid(data_dir)
        os.kill(killed, signal.SIGKILL)
        assert await value_at_last(url, "SELECT number FROM kept") == 7
        assert postmaster_pid(data_dir) != killed


async def test_kill_9_of_the_starter_leaves_no_process_and_no_harm(data_dir: Path) -> None:
    with holder(data_dir) as (process, url):
        busy = await asyncpg.connect(url)
        await busy.execute("CREATE TABLE kept AS SELECT 7 AS number")
        sleeping = asyncio.create_task(busy.execute("SELECT pg_sleep(600)"))
        await until(lambda: len(processes_of(data_dir)) > 1)
        process.kill()
        await until(lambda: processes_of(data_dir) == [])
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await sleeping
        busy.terminate()
    async with embedded_database(data_dir, may_create=False) as url_again:
        assert url_again == url
        assert await value(url, "SELECT number FROM kept") == 7


async def test_a_command_that_joined_stands_a_kill_9_of_the_starter(data_dir: Path) -> None:
    with holder(data_dir) as (process, url):
        first_server = postmaster_pid(data_dir)
        async with embedded_database(data_dir, may_create=False) as joined_url:
            assert joined_url == url
            process.kill()
            await until(lambda: not psutil.pid_exists(first_server))
            assert await value_at_last(url, "SELECT 1") == 1
    assert processes_of(data_dir) == []


async def test_an_interrupted_first_start_leaves_nothing_half_made(data_dir: Path) -> None:
    opening = asyncio.create_task(embedded_database(data_dir, may_create=True).__aenter__())
    await until(lambda: any(data_dir.glob("postgres.new-*/PG_VERSION")))
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not (data_dir / "postgres").exists()
    await until(lambda: processes_of(data_dir) == [])
    async with embedded_database(data_dir, may_create=True) as url:
        assert await value(url, "SELECT 1") == 1
    assert list(data_dir.glob("postgres.new-*")) == []


async def test_the_servers_log_is_bounded(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOG_SIZE_MAX_BYTES", 20_000)
    monkeypatch.setattr(embedded, "LOG_CHECK_SECONDS", 0.02)
    log = data_dir / "postgres.log"
    async with embedded_database(data_dir, may_create=True) as url:
        connection = await asyncpg.connect(url)
        async with asyncio.timeout(WAIT_SECONDS):
            while not log.with_name("postgres.log.1").exists():
                with pytest.raises(asyncpg.UndefinedTableError):
                    await connection.execute(f"SELECT 1 FROM {'nothing' * 8}")
        await connection.close()
    assert log.stat().st_size < 20_000
    assert log.stat().st_mode & 0o777 == 0o600


async def test_a_process_id_left_behind_by_a_killed_server_is_no_obstacle(data_dir: Path) -> None:
    async with embedded_database(data_dir, may_create=True):
        left_behind = (data_dir / "postgres" / "postmaster.pid").read_text()
    # The machine was started again, and another program bears the number now.
    recycled = [str(os.getpid()), *left_behind.splitlines()[1:]]
    (data_dir / "postgres" / "postmaster.pid").write_text("\n".join(recycled) + "\n")
    async with embedded_database(data_dir, may_create=False) as url:
        assert await value(url, "SELECT 1") == 1


async def test_a_long_path_is_no_obstacle(short_folder: Path) -> None:
    data_dir = short_folder / ("long" * 30) / ("longer" * 20)
    async with embedded_database(data_dir, may_create=True) as url:
        assert await value(url, "SELECT 1") == 1


async def test_an_unwritable_folder_is_told_in_one_sentence(short_folder: Path) -> None:
    (short_folder / "file").write_text("")
    with pytest.raises(CannotStart, match=r"file/data can't be written \(Not a directory\): choose another"):
        await embedded_database(short_folder / "file" / "data", may_create=True).__aenter__()


async def test_the_data_of_another_version_is_told_in_one_sentence(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(CannotStart, match="made by PostgreSQL 16 and this LiveDrop brings 18"):
        await embedded_database(data_dir, may_create=True).__aenter__()


async def test_what_postgresql_says_at_a_failed_start_is_told(data_dir: Path) -> None:
    async with embedded_database(data_dir, may_create=True):
        pass
    (data_dir / "postgres" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(CannotStart, match="PostgreSQL could not start: "):
        await embedded_database(data_dir, may_create=False).__aenter__()


async def test_somebody_elses_socket_folder_is_refused(data_dir: Path) -> None:
    sockets = sockets_folder(data_dir)
    sockets.symlink_to(data_dir.parent)
    try:
        with pytest.raises(CannotStart, match="is somebody else's"):
            await embedded_database(data_dir, may_create=True).__aenter__()
    finally:
        sockets.unlink()


async def test_root_without_user_namespaces_is_told_of_the_other_way(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres, "_AS_NOBODY", ("false",))
    with pytest.raises(CannotStart, match="LIVEDROP_DATABASE_URL"):
        await embedded_database(data_dir, may_create=True).__aenter__()
