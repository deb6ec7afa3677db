"""A proxy before PostgreSQL's socket that cuts a connection at a chosen moment, or falls silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

Moment = Literal["begin", "read", "commit", "committed"]
"""Instead of sending on: what opens the transaction; the first statement in it; the COMMIT. `committed`: after
PostgreSQL has answered the COMMIT, instead of telling."""

_COMMIT = b"COMMIT\0"


class CuttingProxy:
    """Passes everything on, until it is told to `cut` (once) or `silent` (until told otherwise)."""

    def __init__(self, url: str, folder: Path) -> None:
        query = parse_qs(urlsplit(url).query)
        host, port = query["host"][0], query["port"][0]
        self._upstream = f"{host}/.s.PGSQL.{port}"
        self._path = f"{folder}/.s.PGSQL.{port}"
        self.url = url.replace(f"host={host}", f"host={folder}")
        self.cut: Moment | None = None
        self.cuts = 0
        self.silent = False
        self._swallowing = False
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def stop(self) -> None:
        """Refuses new connections and cuts those there are; `start` makes it work again."""
        self._server.close()
        Path(self._path).unlink(missing_ok=True)
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        upstream_reader, upstream_writer = await asyncio.open_unix_connection(self._upstream)
        committed = asyncio.Event()
        answers = asyncio.create_task(self._answers(upstream_reader, writer, committed))
        try:
            await self._questions(reader, upstream_writer, committed)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            answers.cancel()
            writer.close()
            upstream_writer.close()
            self._serving.discard(task)

    async def _questions(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, committed: asyncio.Event
    ) -> None:
        """PostgreSQL's protocol: the first message has a length only, all others a type before it."""
        kind = b""
        while True:
            size = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(size, "big") - 4)
            if self.cut is not None and self._is_moment(kind, body):
                if self.cut == "committed":
                    self._swallowing = True
                    upstream.write(kind + size + body)
                    await committed.wait()
                self.cut, self._swallowing = None, False
                self.cuts += 1
                return
            if not self.silent:
                upstream.write(kind + size + body)
                await upstream.drain()
            kind = await reader.readexactly(1)

    def _is_moment(self, kind: bytes, body: bytes) -> bool:
        match self.cut:
            case "begin":
                return kind == b"Q" and b"BEGIN" in body
            case "read":
                return kind in (b"P", b"B")
            case _:
                return kind == b"Q" and body == _COMMIT

    async def _answers(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, committed: asyncio.Event
    ) -> None:
        while answer := await upstream.read(65_536):
            if self._swallowing and _COMMIT in answer:
                committed.set()
            elif not self.silent:
                writer.write(answer)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def cutting_proxy(url: str, folder: Path) -> AsyncIterator[CuttingProxy]:
    proxy = CuttingProxy(url, folder)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
