"""Child processes that end with us, whatever ends us."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None, use_errno=True)

POLL_SECONDS = 0.05


def spawn(
    command: Sequence[str | Path],
    *,
    death_signal: signal.Signals,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
    passed_files: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts `command` in a session of its own, so that a Ctrl-C meant for us does not reach it.

    The kernel sends it `death_signal` when we end, even by `kill -9`. `output`: where both its outputs go, ours
    where None. `passed_files`: open file descriptors that it inherits.
    """
    # The kernel's signal comes at the end of the *thread* that started the child.
    assert threading.current_thread() is threading.main_thread(), "children are started by the main thread"
    parent = os.getpid()

    def bind_to_parent() -> None:
        if _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(1)  # we ended before the kernel was told

    return subprocess.Popen(
        [str(part) for part in command],
        preexec_fn=bind_to_parent if _LINUX else None,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=None if environment is None else dict(environment),
        pass_fds=tuple(passed_files),
        start_new_session=True,
    )


def end_with_parent() -> None:
    """From now on the end of our parent, whatever ends it, comes to us as a SIGTERM."""
    parent = os.getppid()
    if _LINUX and (_libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0 or os.getppid() != parent):
        os.kill(os.getpid(), signal.SIGTERM)


async def end_of(process: subprocess.Popen[bytes]) -> int:
    """Waits for the end of a child; its exit code, or minus the signal that ended it."""
    if process.poll() is not None:
        return process.returncode
    if not hasattr(os, "pidfd_open"):
        while process.poll() is None:  # noqa: ASYNC110 - no event tells, outside Linux
            await asyncio.sleep(POLL_SECONDS)
        return process.returncode
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(process.pid)
    try:
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


async def stop(process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> int:
    """Sends each step's signal and waits for its seconds, until the child has ended; in the end kills it."""
    for number, patience_seconds in (*steps, (signal.SIGKILL, None)):
        if process.poll() is None:
            process.send_signal(number)
        try:
            return await asyncio.wait_for(end_of(process), patience_seconds)
        except TimeoutError:
            continue
    raise AssertionError("a killed process did not end")
