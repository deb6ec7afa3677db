"""The server bounds what it reads before a request is whole."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from livedrop.processes.serving import HEADER_BYTES_MAX, Server, listen


async def _answer_ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _asked(listener: socket.socket, request: bytes) -> bytes:
    """What comes back; nothing where the server hangs up."""
    reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
    try:
        # In pieces, as a slow sender does: one that is whole in a single read is bounded by the read.
        for start in range(0, len(request), 16_384):
            writer.write(request[start : start + 16_384])
            await writer.drain()
        return await asyncio.wait_for(reader.readline(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_endless_headers_are_hung_up_on() -> None:
    """Red without the bound: one connection's 100 MB header value was kept in memory, and answered."""
    server, listener = Server(_answer_ok, grace_seconds=1), listen("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: "
    try:
        assert (await _asked(listener, head + b"x\r\nConnection: close\r\n\r\n")).startswith(b"HTTP/1.1 204")
        assert await _asked(listener, head + b"x" * (64 * HEADER_BYTES_MAX) + b"\r\n\r\n") == b""
    finally:
        server.stop()
        await serving
