"""Measuring one load: its rate, its percentiles, and the CPU time that each answer cost."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from livedrop.bench.stage import Buyer, Server, Stage
from livedrop.crowd.load import Shot, Tally, Target, fire, fire_paced

API = "/api/v1"
CONNECTIONS = 256


class Figure(msgspec.Struct, kw_only=True):
    """One measured load. Rates are answers a second; `cpu_us` is CPU microseconds for each answer."""

    name: str
    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    answers: int
    expected: int
    cpu_us: dict[str, float] = {}
    repeats: list[float] = []

    @property
    def clean(self) -> bool:
        """Whether every answer was the expected one."""
        return self.answers == self.expected


def orders(
    target: Target, buyers: Sequence[Buyer], bodies: Sequence[Mapping[str, object]], run: str
) -> Iterator[Shot]:
    """Endless orders: buyer after buyer, body after body, each under a key of its own.

    Requests are put together from three ready pieces, so that the generator costs little while the time runs.
    """
    pieces = target.request("POST", f"{API}/orders", key="@", token="@").split(b"@")  # noqa: S106
    heads = [pieces[0] + buyer.token.encode() + pieces[1] + run.encode() + b"-" for buyer in buyers]
    tails = []
    for body in bodies:
        encoded = msgspec.json.encode(body)
        lines = f"\r\nContent-Type: application/json\r\nContent-Length: {len(encoded)}\r\n\r\n"
        tails.append(lines.encode() + encoded)
    for number in itertools.count():
        # A stride that visits all bodies in an order unlike that of the buyers.
        tail = tails[number * 7_919 % len(tails)]
        yield Shot(heads[number % len(heads)] + str(number).encode() + tail)


def ready_made(shots: Iterator[Shot], count: int) -> list[Shot]:
    """Requests made beforehand, so that making them costs nothing while the time runs."""
    return list(itertools.islice(shots, count))


def until(shots: Sequence[Shot] | Iterator[Shot], seconds: float) -> Iterator[Shot]:
    """These shots, for so many seconds."""
    end = time.perf_counter() + seconds
    for shot in shots:
        if time.perf_counter() > end:
            return
        yield shot


def again(request: bytes) -> Iterator[Shot]:
    """The same request for ever."""
    while True:
        yield Shot(request)


async def closed_loop(
    stage: Stage,
    name: str,
    shots: Sequence[Shot] | Iterator[Shot],
    *,
    seconds: float,
    expect: int,
    server: Server | None = None,
    connections: int = CONNECTIONS,
) -> Figure:
    """As fast as it is answered."""
    server = server or stage.api
    before = _cpu(stage, server)
    tally = await fire(server.target, until(shots, seconds), connections=connections)
    return _figure(name, tally, expect, before, _cpu(stage, server))


async def paced(
    stage: Stage, name: str, shots: Sequence[Shot], *, per_second: float, expect: int, connections: int
) -> Figure:
    """At a fixed pace, each request's time counted from the moment that it was due."""
    before = _cpu(stage, stage.api)
    tally = await fire_paced(stage.api.target, shots, per_second=per_second, connections=connections)
    return _figure(name, tally, expect, before, _cpu(stage, stage.api))


def median_of(figures: Sequence[Figure]) -> Figure:
    """The figure with the median rate, bearing all repeats' rates."""
    middle = sorted(figures, key=lambda figure: figure.rate)[len(figures) // 2]
    return msgspec.structs.replace(middle, repeats=[round(figure.rate, 1) for figure in figures])


def _cpu(stage: Stage, server: Server) -> dict[str, float]:
    return {
        "api": server.cpu_seconds(),
        "postgres": stage.postgres_cpu_seconds(),
        "provider": stage.provider.cpu_seconds(),
        "generator": time.process_time(),
    }


def _figure(name: str, tally: Tally, expect: int, before: dict[str, float], after: dict[str, float]) -> Figure:
    count = max(1, len(tally.seconds))
    return Figure(
        name=name,
        rate=round(tally.rate(), 1),
        p50_ms=round(tally.percentile(50) * 1000, 2),
        p95_ms=round(tally.percentile(95) * 1000, 2),
        p99_ms=round(tally.percentile(99) * 1000, 2),
        answers=len(tally.seconds),
        expected=tally.statuses[expect],
        cpu_us={part: round((after[part] - before[part]) / count * 1e6, 1) for part in before},
        repeats=[round(tally.rate(), 1)],
    )


def ratio(figure: Figure, against: Figure) -> float:
    """How many times as fast: the median of the ratios turn by turn."""
    turns = zip(figure.repeats, against.repeats, strict=True)
    return round(statistics.median(one / other for one, other in turns if other), 3)


def spread(figure: Figure) -> float:
    """The repeats' standard deviation over their mean: how noisy the machine was."""
    if len(figure.repeats) < 2:
        return 0.0
    return round(statistics.stdev(figure.repeats) / statistics.mean(figure.repeats), 3)
