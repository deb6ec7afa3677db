"""A whole LiveDrop, started by `livedrop up`, whose parts a test may kill."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from livedrop.kit.postgres import is_ready, url_of
from livedrop.processes.embedded import sockets_folder
from marketplace import SECRET

PATIENCE_SECONDS = 40.0
POLL_SECONDS = 0.02


class RunningLiveDrop:
    """It serves at `url`; its own PostgreSQL, as durable as in production, is at `database_url`."""

    def __init__(self, process: subprocess.Popen[str], data_dir: Path, url: str) -> None:
        self.url = url
        self.data_dir = data_dir
        self.database_url = url_of(sockets_folder(data_dir))
        self._process = process

    def part(self, name: str) -> int | None:
        """The process id of the part of this name, if it runs."""
        for child in psutil.Process(self._process.pid).children():
            with suppress(psutil.Error):  # it ended meanwhile
                if child.cmdline()[1:4] == ["-m", "livedrop", name]:
                    return child.pid
        return None

    async def kill(self, name: str, moment: Awaitable[object] | None = None) -> None:
        """`kill -9` of a part, at that moment; returns when another has taken its place."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (killed := self.part(name)) is None:
                await asyncio.sleep(POLL_SECONDS)
            if moment is not None:
                await moment
            os.kill(killed, signal.SIGKILL)
            while self.part(name) in (killed, None):
                await asyncio.sleep(POLL_SECONDS)

    async def stop_postgres_immediately(self, moment: Awaitable[object]) -> None:
        """As after a power cut: it writes nothing more; returns when another has recovered what was written."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            stopped = await self._postmaster()
            await moment
            os.kill(stopped, signal.SIGQUIT)
            while await self._postmaster() == stopped or not is_ready(self.data_dir / "postgres"):
                await asyncio.sleep(POLL_SECONDS)

    async def _postmaster(self) -> int:
        """The process id that PostgreSQL's own file tells, as soon as it tells one."""
        while True:
            with suppress(OSError, ValueError, IndexError):
                return int((self.data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[0])
            await asyncio.sleep(POLL_SECONDS)


@contextmanager
def running_livedrop(**settings: str) -> Iterator[RunningLiveDrop]:
    """Started in a folder of its own, which is gone when the block ends, as is every process of it."""
    folder = Path(tempfile.mkdtemp(prefix="livedrop-test-", dir="/tmp"))
    data_dir, port = folder / "data", _free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "livedrop", "up", "--with-parent", "--port", str(port), "--data-dir", str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
        env=_environment(SECRET_KEY=SECRET, LOG_LEVEL="error", **settings),
    )
    try:
        _wait_for_greeting(process)
        yield RunningLiveDrop(process, data_dir, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.communicate(timeout=40)
        with suppress(OSError):
            sockets_folder(data_dir).rmdir()
        shutil.rmtree(folder)


def _wait_for_greeting(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl-C" in line:
            return
    raise AssertionError(f"it ended with {process.wait()}")


def _environment(**settings: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LIVEDROP_")}
    return {**ours, **{f"LIVEDROP_{name}": value for name, value in settings.items()}}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
