"""`livedrop up`: everything on this machine, started in order, kept running, stopped in order.

This process only watches, so it imports little; the work is done by its children.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from pathlib import Path

import msgspec

from livedrop.kit.children import end_of, spawn
from livedrop.kit.starting import CannotStart
from livedrop.processes.embedded import embedded_database
from livedrop.processes.parts import Part, command_of
from livedrop.processes.secret_key import with_secret_key
from livedrop.settings import PROVIDER_URL_DEFAULT, Settings, is_loopback, written

BACKLOG_MAX = 2048
READY_TIMEOUT_SECONDS = 60.0
READY_POLL_SECONDS = 0.05
READY_ANSWER_TIMEOUT_SECONDS = 2.0

# One press of Ctrl-C may reach us twice: from the terminal, and from what started us.
SAME_SIGNAL_SECONDS = 1.0

# One after the other; with PostgreSQL's own (kit/postgres.py) they add up to less than 30 s.
API_STOP_SECONDS = 10.0
WORKER_STOP_SECONDS = 4.0
PROVIDER_STOP_SECONDS = 2.0


def run(settings: Settings, *, demo: bool) -> None:
    """Returns when SIGINT, SIGTERM or SIGHUP has stopped everything. Raises `CannotStart`."""
    with suppress(asyncio.CancelledError):
        asyncio.run(_up(settings, demo=demo))


async def _up(settings: Settings, *, demo: bool) -> None:
    _stop_on_signals()
    started_at = time.monotonic()
    with listen(settings.host, settings.port) as listener:
        settings = with_secret_key(settings)
        async with _database(settings) as database_url:
            settings = msgspec.structs.replace(settings, database_url=database_url)
            await _prepare(settings, demo=demo)
            async with _running_parts(settings, listener) as parts:
                await _ready(listener, parts)
                _say(greeting(settings, time.monotonic() - started_at))
                await asyncio.Event().wait()


def _stop_on_signals() -> None:
    """The first signal stops everything in order; a later one ends us at once, and the kernel our children."""
    loop = asyncio.get_running_loop()
    story = asyncio.current_task()
    assert story is not None, "this runs in a task"
    first_at: float | None = None

    def stop() -> None:
        nonlocal first_at
        if first_at is None:
            first_at = loop.time()
            story.cancel()
        elif loop.time() - first_at > SAME_SIGNAL_SECONDS:
            os._exit(1)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, taken before anything is started; who connects early waits for the API.

    Raises `CannotStart`.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG_MAX)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(
                f"Port {port} is taken: end what listens there, or choose another with --port."
            ) from None
        raise CannotStart(f"LiveDrop can't listen on port {port} of {host}: {error.strerror}.") from None


def _database(settings: Settings) -> AbstractAsyncContextManager[str]:
    if settings.database_url is not None:
        return nullcontext(settings.database_url)
    return embedded_database(settings.data_dir, may_create=settings.development)


async def _prepare(settings: Settings, *, demo: bool) -> None:
    """Migrates and seeds in a child, which gives back the memory that this takes; the child says what is wrong."""
    process = spawn(
        command_of("migrate", *(("--demo",) if demo else ())),
        death_signal=signal.SIGKILL,
        environment={**os.environ, **written(settings)},
    )
    try:
        code = await end_of(process)
    finally:
        process.kill()
    if code != 0:
        raise SystemExit(1)


@asynccontextmanager
async def _running_parts(settings: Settings, listener: socket.socket) -> AsyncIterator[Sequence[Part]]:
    """Provider, worker and API processes; stopped in the opposite order."""
    async with AsyncExitStack() as running:
        parts: list[Part] = []
        if settings.provider_url == PROVIDER_URL_DEFAULT:
            its_socket = running.enter_context(socket.create_server(("127.0.0.1", 0)))
            settings = msgspec.structs.replace(settings, provider_url=url_of(its_socket))
            local = msgspec.structs.replace(settings, public_url=url_of(listener))  # where its webhooks go
            parts.append(_part("provider", local, PROVIDER_STOP_SECONDS, its_socket))
            running.push_async_callback(parts[-1].stop)

        parts.append(_part("worker", settings, WORKER_STOP_SECONDS))
        running.push_async_callback(parts[-1].stop)

        apis = [_part("api", settings, API_STOP_SECONDS, listener) for _ in range(settings.workers)]
        parts += apis
        running.push_async_callback(_stop_together, apis)
        running.callback(listener.close)  # from now on nobody new may wait
        for part in parts:
            part.start()
        yield parts


def _part(name: str, settings: Settings, stop_timeout_seconds: float, listener: socket.socket | None = None) -> Part:
    files = () if listener is None else (listener.fileno(),)
    return Part(
        [name, *(f"--fd={file}" for file in files)],
        environment={**os.environ, **written(settings)},
        passed_files=files,
        stop_timeout_seconds=stop_timeout_seconds,
    )


async def _stop_together(parts: Sequence[Part]) -> None:
    await asyncio.gather(*(part.stop() for part in parts))


async def _ready(listener: socket.socket, parts: Sequence[Part]) -> None:
    """Returns when the API says that it can serve. Raises `CannotStart` when a part fails before that."""
    failures = [asyncio.create_task(part.failed.wait(), name=part.name) for part in parts]
    serving = asyncio.create_task(_serving(listener))
    try:
        done, _ = await asyncio.wait(
            [serving, *failures], timeout=READY_TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for task in (serving, *failures):
            task.cancel()
    if serving in done:
        return
    for failure in done:
        raise CannotStart(f"LiveDrop's {failure.get_name()} process ended before all was ready.")
    raise CannotStart(
        f"LiveDrop was not ready within {READY_TIMEOUT_SECONDS:.0f} s; {url_of(listener)}/readyz tells more."
    )


async def _serving(listener: socket.socket) -> None:
    while not await _answers_ready(listener):  # noqa: ASYNC110 - another process
        await asyncio.sleep(READY_POLL_SECONDS)


async def _answers_ready(listener: socket.socket) -> bool:
    try:
        async with asyncio.timeout(READY_ANSWER_TIMEOUT_SECONDS):
            host, port = _address(listener)
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _address(listener: socket.socket) -> tuple[str, int]:
    """Where this machine reaches the socket."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 - nothing is bound here


def url_of(listener: socket.socket) -> str:
    host, port = _address(listener)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def greeting(settings: Settings, took_seconds: float) -> str:
    """What is said when everything runs: where it is, and what to try."""
    url = f"http://localhost:{settings.port}" if is_loopback(settings.host) else settings.public_url
    command = _as_typed(sys.argv[0])
    elsewhere = "" if settings.data_dir == Path(".livedrop").absolute() else f" --data-dir {settings.data_dir}"
    return f"""
LiveDrop is ready at {url} ({settings.mode}, after {took_seconds:.1f} s)

  look around        {url}/docs
  what is on sale    curl -s {url}/api/v1/drops/live
  send in a crowd    {command} crowd --url {url}
  check the books    {command} audit{elsewhere}
  stop               Ctrl-C
"""


def _as_typed(program: str) -> str:
    """This program as one would type it here."""
    if Path(program).name == "__main__.py":
        return f"{Path(sys.executable).name} -m livedrop"
    with suppress(ValueError):
        return str(Path(program).absolute().relative_to(Path.cwd()))
    return Path(program).name


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
