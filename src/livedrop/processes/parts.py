"""A part of LiveDrop: one child process that is kept running."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import structlog

from livedrop.kit.children import end_of, spawn, stop

log = structlog.get_logger("livedrop.parts")

RESTART_PAUSE_FIRST_SECONDS = 0.1
RESTART_PAUSE_MAX_SECONDS = 5.0
STEADY_SECONDS = 20.0  # who ran this long was well: its next restart comes at once again


class Part:
    """Runs `livedrop <arguments>` and starts it again, a little later each time, when it ends by itself."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        stop_timeout_seconds: float,
        passed_files: Sequence[int] = (),
    ) -> None:
        self.name = arguments[0]
        self._arguments = arguments
        self._environment = environment
        self._stop_timeout_seconds = stop_timeout_seconds
        self._passed_files = passed_files
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.failed = asyncio.Event()  # it ended by itself at least once

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep(), name=self.name)

    async def stop(self) -> None:
        """Asks it to end, and ends it when it takes too long."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        if self._process is not None:
            await stop(self._process, (signal.SIGTERM, self._stop_timeout_seconds))

    async def _keep(self) -> None:
        pause_seconds = RESTART_PAUSE_FIRST_SECONDS
        while True:
            started_at = time.monotonic()
            # By SIGKILL: every part must stand a crash anyway, and nothing may stay behind.
            self._process = spawn(
                command_of(*self._arguments),
                death_signal=signal.SIGKILL,
                environment=self._environment,
                passed_files=self._passed_files,
            )
            code = await end_of(self._process)
            self.failed.set()
            if time.monotonic() - started_at > STEADY_SECONDS:
                pause_seconds = RESTART_PAUSE_FIRST_SECONDS
            log.warning("process_ended", name=self.name, code=code, restart_in_seconds=pause_seconds)
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(pause_seconds * 2, RESTART_PAUSE_MAX_SECONDS)


def command_of(*arguments: str) -> list[str]:
    """`livedrop <arguments>`, whatever PATH says."""
    return [sys.executable, "-m", "livedrop", *arguments]
