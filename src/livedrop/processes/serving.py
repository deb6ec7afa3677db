"""How a process of ours serves HTTP: uvicorn, stopped by the process and not by uvicorn's own signals."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from livedrop.kit.starting import CannotStart

BACKLOG_MAX = 2_048
KEEP_ALIVE_SECONDS = 75
HEADER_BYTES_MAX = 64 * 1024


class BoundedProtocol(HttpToolsProtocol):
    """Hangs up on whoever sends more than 64 KiB of headers: uvicorn alone would keep them all."""

    _in_headers = False
    _header_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES_MAX:
                self.transport.abort()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._in_headers, self._header_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        super().on_headers_complete()


class Server(uvicorn.Server):
    """Serves an ASGI application; `grace_seconds`: how long running requests may go on after `stop`."""

    # Any: uvicorn and Litestar type the same protocol differently.
    def __init__(self, application: Any, *, grace_seconds: int) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=BoundedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG_MAX,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=grace_seconds,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Ends `serve`; to be called in its loop."""
        self.should_exit = True

    def stop_on_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)


def listen(host: str, port: int) -> socket.socket:
    """A bound TCP socket. Raises `CannotStart`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=BACKLOG_MAX)
    except OSError as error:
        raise CannotStart(f"LiveDrop can't listen on port {port} of {host}: {error.strerror}.") from None
    return handed(bound.detach())


def handed(fd: int) -> socket.socket:
    """The socket behind a descriptor.

    Made from it, the socket knows that it is TCP, and asyncio then sets TCP_NODELAY on what it accepts; otherwise
    each answer waits 40 ms for the acknowledgement of its own headers.
    """
    return socket.socket(fileno=fd)


def collect_less() -> None:
    """Lets the garbage collector leave what was loaded at the start alone, and look less often at what comes after.

    A request makes next to no cycles; looking for them held everybody up for some 10 ms at a time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
