"""`livedrop up` as a stranger meets it: started, stopped, killed, and told in one sentence why it can't start."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from livedrop.processes.embedded import sockets_folder

WAIT_SECONDS = 60.0
STOP_SECONDS = 30.0


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.05)


def environment(**settings: str) -> dict[str, str]:
    """Ours without any setting of ours; with Python's caches, for speed."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LIVEDROP_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**ours, **{f"LIVEDROP_{name}": value for name, value in settings.items()}}


def livedrop(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "livedrop", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(**settings),
        timeout=WAIT_SECONDS,
        check=False,
    )


class Up:
    """`livedrop up` on a free port and a data folder of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[str] | None = None

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "it was not started"
        return self._process

    async def start(self, *options: str, before: tuple[str, ...] = ()) -> str:
        """Returns the greeting, once it is said."""
        command = [sys.executable, "-m", "livedrop", "up", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        self._process = subprocess.Popen(
            [*before, *command, *options], stdout=subprocess.PIPE, text=True, env=environment()
        )
        return await asyncio.wait_for(asyncio.to_thread(self._greeting), WAIT_SECONDS)

    def _greeting(self) -> str:
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if "Ctrl-C" in line:
                return said
        raise AssertionError(f"it ended with {self.process.wait()}")

    def processes(self) -> list[psutil.Process]:
        """Every process that knows of the data folder: by its arguments, or by its settings."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                known = [*process.cmdline(), process.environ().get("LIVEDROP_DATA_DIR", "")]
                if str(self.data_dir) in " ".join(known) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def parts(self, name: str) -> list[int]:
        """The process ids of the parts of that name."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # it ended meanwhile
                if child.cmdline()[1:4] == ["-m", "livedrop", name]:
                    found.append(child.pid)
        return found

    def replaced(self, name: str, killed: int) -> bool:
        return bool(self.parts(name)) and killed not in self.parts(name)

    def postmaster(self) -> psutil.Process:
        return psutil.Process(int((self.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0]))

    async def is_ready(self) -> bool:
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{self.url}/readyz", timeout=5)).status_code == 200
        except httpx.HTTPError:
            return False

    async def until_ready(self) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not await self.is_ready():
                await asyncio.sleep(0.05)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        with suppress(OSError):
            sockets_folder(self.data_dir).rmdir()


@pytest.fixture
def up(short_folder: Path) -> Iterator[Up]:
    started = Up(short_folder / "data")
    yield started
    started.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


async def test_from_the_first_start_to_kill_9_and_back(up: Up) -> None:
    greeting = await up.start("--demo", "--workers", "2")
    assert f"http://localhost:{up.port}/docs" in greeting
    assert await up.is_ready()
    live = httpx.get(f"{up.url}/api/v1/drops/live").json()
    assert [drop["phase"] for drop in live["items"]] == ["live"]
    assert {name: len(up.parts(name)) for name in ("api", "worker", "provider")} == {
        "api": 2,
        "worker": 1,
        "provider": 1,
    }
    key = up.data_dir / "secret_key"
    assert key.stat().st_mode & 0o777 == 0o600

    books = livedrop("audit", "--data-dir", up.data_dir)
    assert (books.returncode, books.stderr) == (0, "")
    assert await up.is_ready()

    up.process.kill()
    await until(lambda: up.processes() == [])

    first_key = key.read_text()
    up.close()
    await up.start("--demo")
    assert key.read_text() == first_key
    assert httpx.get(f"{up.url}/api/v1/drops/live").json() == live

    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(STOP_SECONDS) == 0
    assert up.processes() == []

    books = livedrop("audit", "--data-dir", up.data_dir)
    assert (books.returncode, books.stderr) == (0, "")
    assert up.processes() == []


async def test_whatever_dies_is_started_again(up: Up) -> None:
    await up.start()
    for name in ("provider", "worker", "api"):
        (killed,) = up.parts(name)
        os.kill(killed, signal.SIGKILL)
        await until(partial(up.replaced, name, killed))
    await up.until_ready()

    (api,) = up.parts("api")
    postmaster = up.postmaster()
    postmaster.kill()
    await until(lambda: not postmaster.is_running())
    await up.until_ready()
    assert up.parts("api") == [api]  # it waited for the database, it did not die with it

    up.process.terminate()
    assert up.process.wait(STOP_SECONDS) == 0
    assert up.processes() == []


async def test_it_can_be_bound_to_what_started_it(up: Up) -> None:
    """As `make run` does: `kill -9` of make stops everything."""
    starter = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    await up.start("--with-parent", before=(sys.executable, "-c", starter))
    assert len(up.processes()) > 4
    up.process.kill()
    await until(lambda: up.processes() == [])


def test_a_taken_port_is_told_before_anything_is_made(short_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = livedrop("up", "--port", str(port), "--data-dir", short_folder / "data")
    assert told(ended) == f"livedrop: Port {port} is taken: end what listens there, or choose another with --port."
    assert not (short_folder / "data").exists()


def test_an_unwritable_folder_is_told(short_folder: Path) -> None:
    (short_folder / "file").write_text("")
    ended = livedrop("up", "--port", str(free_port()), "--data-dir", short_folder / "file" / "data")
    assert "file/data can't be written (Not a directory)" in told(ended)


def test_an_unreachable_database_is_told(short_folder: Path) -> None:
    ended = livedrop(
        "up",
        "--port",
        str(free_port()),
        "--data-dir",
        short_folder,
        DATABASE_URL="postgresql://livedrop:very-secret@127.0.0.1:1/shop",
    )
    assert told(ended) == "livedrop: The database postgresql://127.0.0.1:1/shop can't be used: Connection refused."


def test_the_data_of_another_version_is_told(short_folder: Path) -> None:
    (short_folder / "postgres").mkdir()
    (short_folder / "postgres" / "PG_VERSION").write_text("16\n")
    ended = livedrop("up", "--port", str(free_port()), "--data-dir", short_folder)
    assert "was made by PostgreSQL 16 and this LiveDrop brings 18" in told(ended)


def test_production_needs_a_key_and_a_database(short_folder: Path) -> None:
    without_key = livedrop("up", "--data-dir", short_folder / "data", MODE="production")
    assert "LIVEDROP_SECRET_KEY is not set" in told(without_key)
    # Everybody could reach it there, so it is production without being asked.
    assert "LIVEDROP_SECRET_KEY is not set" in told(livedrop("up", HOST="0.0.0.0"))
    without_database = livedrop(
        "up",
        "--port",
        str(free_port()),
        "--data-dir",
        short_folder / "data",
        MODE="production",
        SECRET_KEY="k" * 32,
    )
    assert "production mode makes none" in told(without_database)
    assert not (short_folder / "data").exists()


def test_a_wrong_option_is_a_wrong_use(short_folder: Path) -> None:
    assert livedrop("up", "--port", "0").returncode == 2
    assert livedrop("up", "--nonsense").returncode == 2
    assert livedrop("nonsense").returncode == 2


def test_help_lists_every_setting() -> None:
    listed = livedrop("up", "--help").stdout
    assert re.search(r"LIVEDROP_DATABASE_URL +postgresql://", listed)
    assert re.search(r"LIVEDROP_PORT .*\[4000\]", listed)


def told(ended: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a start that failed."""
    assert ended.returncode == 1, ended
    assert ended.stdout == ""
    assert "very-secret" not in ended.stderr
    (sentence,) = ended.stderr.splitlines()
    return sentence
