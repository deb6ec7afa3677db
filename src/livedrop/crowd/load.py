"""A lean generator of HTTP/1.1 load: ready-made bytes over kept connections, so that it costs little itself.

It understands just what this API answers: Content-Length bodies on kept connections, no chunks, no redirects.
"""

from __future__ import annotations

import asyncio
import gc
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

ANSWER_TIMEOUT_SECONDS = 60.0


class Shot(msgspec.Struct):
    """One request to fire, and what came back: `status` 0 means that the connection broke."""

    request: bytes
    status: int = 0
    body: bytes = b""
    seconds: float = 0.0


class Tally(msgspec.Struct):
    """What a load has met: answers by status, and the seconds that each took."""

    statuses: Counter[int]
    seconds: array[float]
    took_seconds: float = 0.0

    def rate(self, *statuses: int) -> float:
        """Answers a second, of these statuses or of all."""
        count = sum(self.statuses[status] for status in statuses) if statuses else len(self.seconds)
        return count / self.took_seconds if self.took_seconds else 0.0

    def percentile(self, percent: float) -> float:
        """Seconds within which this share of all requests was answered."""
        if not self.seconds:
            return 0.0
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Target(msgspec.Struct, frozen=True):
    """Where the load goes."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Target:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"The crowd speaks plain HTTP, to an address like http://localhost:4000, not {url!r}.")
        return cls(parts.hostname, parts.port or 80)

    def request(
        self, method: str, path: str, *, token: str = "", key: str = "", body: Any = None, headers: str = ""
    ) -> bytes:
        """The bytes of one request."""
        encoded = b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        if key:
            lines.append(f"Idempotency-Key: {key}")
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(encoded)}"]
        return ("\r\n".join(lines) + "\r\n" + headers + "\r\n").encode() + encoded


async def fire(
    target: Target, shots: Iterable[Shot], *, connections: int, on_answer: Callable[[Shot], None] | None = None
) -> Tally:
    """Fires all shots as fast as they are answered, over this many connections at once."""
    remaining = iter(shots)
    lanes = await _open(target, connections)
    tally = Tally(Counter(), array("d"))
    with _no_collecting():
        started_at = time.perf_counter()
        await asyncio.gather(*(lane.run(remaining, tally, on_answer) for lane in lanes))
        tally.took_seconds = time.perf_counter() - started_at
    _close(lanes)
    return tally


async def fire_paced(target: Target, shots: Iterable[Shot], *, per_second: float, connections: int) -> Tally:
    """Fires shots at fixed moments, `per_second` of them; the time of each counts from its moment, so a server that
    falls behind can't slow the measuring down with it ("coordinated omission").
    """
    lanes = await _open(target, connections)
    idle = deque(lanes)
    freed = asyncio.Event()
    tally = Tally(Counter(), array("d"))
    running: set[asyncio.Task[None]] = set()

    async def one(lane: _Lane, shot: Shot, due_at: float) -> None:
        await lane.ask(shot)
        tally.statuses[shot.status] += 1
        tally.seconds.append(time.perf_counter() - due_at)
        idle.append(lane)
        freed.set()

    with _no_collecting():
        started_at = time.perf_counter()
        for number, shot in enumerate(shots):
            due_at = started_at + number / per_second
            pause = due_at - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            while not idle:
                freed.clear()
                await freed.wait()
            task = asyncio.create_task(one(idle.popleft(), shot, due_at))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        tally.took_seconds = time.perf_counter() - started_at
    _close(lanes)
    return tally


@contextmanager
def _no_collecting() -> Iterator[None]:
    """No garbage collection in the middle of a measurement: its pauses would be counted as the server's."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


async def _open(target: Target, connections: int) -> list[_Lane]:
    lanes = [_Lane(target) for _ in range(connections)]
    for start in range(0, connections, 128):  # gently: a listen queue is short
        await asyncio.gather(*(lane.connect() for lane in lanes[start : start + 128]))
    return lanes


def _close(lanes: list[_Lane]) -> None:
    for lane in lanes:
        lane.close()


class _Lane(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._shot: Shot | None = None
        self._sent_at = 0.0
        self._answered: asyncio.Future[None] | None = None
        self._feed: tuple[Iterator[Shot], Tally, Callable[[Shot], None] | None] | None = None
        self._fed: asyncio.Future[None] | None = None

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(ANSWER_TIMEOUT_SECONDS):
            await loop.create_connection(lambda: self, self._target.host, self._target.port)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def ask(self, shot: Shot) -> None:
        """Sends one shot and waits for its answer."""
        if self._transport is None:
            await self.connect()
        self._answered = asyncio.get_running_loop().create_future()
        self._send(shot)
        await self._answered

    async def run(self, shots: Iterator[Shot], tally: Tally, on_answer: Callable[[Shot], None] | None) -> None:
        """Sends shot after shot until none is left; each follows its predecessor's answer without a task between."""
        while True:
            if self._transport is None:
                await self.connect()
            self._fed = asyncio.get_running_loop().create_future()
            self._feed = (shots, tally, on_answer)
            shot = next(shots, None)
            if shot is None:
                return
            self._send(shot)
            await self._fed
            if self._transport is not None:
                return  # the shots are used up; otherwise the connection broke, and the rest wants a new one

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop has transports of its own, which are no subclasses
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._shot is not None:
            self._finish(0, b"")
        if self._fed is not None and not self._fed.done():
            self._fed.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            self._buffer = data
            return
        body_start = head_end + 4
        length_at = data.find(b"content-length: ", 0, head_end)
        length = int(data[length_at + 16 : data.find(b"\r", length_at)]) if length_at > 0 else 0
        if len(data) < body_start + length:
            self._buffer = data
            return
        self._buffer = b""
        self._finish(int(data[9:12]), data[body_start : body_start + length])

    def _send(self, shot: Shot) -> None:
        assert self._transport is not None
        self._shot = shot
        self._sent_at = time.perf_counter()
        self._transport.write(shot.request)

    def _finish(self, status: int, body: bytes) -> None:
        shot, self._shot = self._shot, None
        if shot is None:
            return
        shot.status = status
        shot.body = body
        shot.seconds = time.perf_counter() - self._sent_at
        if self._answered is not None:
            answered, self._answered = self._answered, None
            if not answered.done():
                answered.set_result(None)
            return
        assert self._feed is not None
        shots, tally, on_answer = self._feed
        tally.statuses[status] += 1
        tally.seconds.append(shot.seconds)
        if on_answer is not None:
            on_answer(shot)
        if self._transport is None:
            return
        following = next(shots, None)
        if following is not None:
            self._send(following)
        elif self._fed is not None and not self._fed.done():
            self._fed.set_result(None)
