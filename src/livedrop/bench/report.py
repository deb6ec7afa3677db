"""What a benchmark run found: the promises beside the figures, as JSON and as a table."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psutil

from livedrop import __version__
from livedrop.bench.measure import Figure, ratio, spread
from livedrop.kit.clock import rfc3339


class Promise(msgspec.Struct, kw_only=True):
    """One line of the promises: the figure that counts, the least it must be (or the most), and the aim."""

    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None
    aim: float
    kept: bool = False

    def __post_init__(self) -> None:
        self.kept = (self.least is None or self.value >= self.least) and (
            self.most is None or self.value <= self.most
        )


class Report(msgspec.Struct, kw_only=True):
    version: str
    commit: str
    at: str
    machine: str
    figures: dict[str, Figure]
    promises: list[Promise]
    audit_held: bool


def machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"


def report(figures: dict[str, Figure], memory_mib: float, *, audit_held: bool) -> Report:
    """Puts the figures beside what was promised (shared with README and docs/performance.md)."""
    hot, paid = figures["reserves"], figures["paid"]
    promises = [
        Promise(name="reserves on one hot drop", value=hot.rate, unit="/s", least=6_000, aim=12_000),
        Promise(name="… p99", value=hot.p99_ms, unit="ms", most=150, aim=150),
        Promise(
            name="… against one transaction per order",
            value=ratio(hot, figures["one_by_one"]),
            unit="×",
            least=8,
            aim=15,
        ),
        Promise(
            name=f"… with {figures['stored'].name.split(', ')[1]}, against an empty table",
            value=ratio(figures["stored"], hot),
            unit="×",
            least=0.85,
            aim=1.0,
        ),
        Promise(
            name="… spread over many drops, against one",
            value=ratio(figures["spread"], hot),
            unit="×",
            least=0.6,
            aim=0.9,
        ),
        Promise(name="paid orders", value=paid.rate, unit="/s", least=1_000, aim=2_500),
        Promise(
            name="sold-out refusals against the no-op POST",
            value=ratio(figures["sold_out"], figures["noop_post"]),
            unit="×",
            least=0.4,
            aim=0.8,
        ),
        Promise(
            name="drop page reads against a no-op GET",
            value=ratio(figures["reads"], figures["noop_get"]),
            unit="×",
            least=0.5,
            aim=0.9,
        ),
        Promise(
            name="paced 500 paid orders/s: p95", value=figures["paced_orders"].p95_ms, unit="ms", most=100, aim=40
        ),
        Promise(name="… beside 1,500 reads/s: p95", value=figures["paced_reads"].p95_ms, unit="ms", most=20, aim=8),
        Promise(name="memory of `livedrop up`, idle", value=memory_mib, unit="MiB", most=500, aim=300),
    ]
    return Report(
        version=__version__,
        commit=_commit(),
        at=rfc3339(datetime.now(UTC)),
        machine=machine(),
        figures=figures,
        promises=promises,
        audit_held=audit_held,
    )


def markdown(found: Report) -> str:
    """The tables of docs/performance.md."""
    lines = [
        f"{found.machine}; {found.at[:10]}, commit `{found.commit}`; "
        f"the audit afterwards: {'all invariants hold' if found.audit_held else 'BREACHES'}.",
        "",
        "| promise | bound | aim | measured | |",
        "|---|---|---|---|---|",
    ]
    for promise in found.promises:
        bound = f"≥ {promise.least:,g}" if promise.least is not None else f"≤ {promise.most:,g}"
        lines.append(
            f"| {promise.name} | {bound} {promise.unit} | {promise.aim:,g} {promise.unit} "
            f"| **{promise.value:,g} {promise.unit}** | {'kept' if promise.kept else 'missed'} |"
        )
    lines += [
        "",
        "| load | answers/s (median) | spread | p50 | p95 | p99 ms | CPU µs an answer: API · PostgreSQL · provider "
        "· generator | as expected |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for figure in found.figures.values():
        parts = [
            f"{figure.cpu_us[part]:,.0f}" for part in ("api", "postgres", "provider", "generator") if figure.cpu_us
        ]
        lines.append(
            f"| {figure.name} | {figure.rate:,.0f} | {spread(figure):.0%} | {figure.p50_ms:,.1f} "
            f"| {figure.p95_ms:,.1f} | {figure.p99_ms:,.1f} | {' · '.join(parts) or '–'} "
            f"| {figure.expected:,} of {figure.answers:,} |"
        )
    return "\n".join(lines) + "\n"


def write(found: Report, results: Path, page: Path | None) -> None:
    """Writes the JSON, and the tables between the page's markers."""
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    if page is None or not page.exists():
        return
    begin, end = "<!-- figures: begin -->\n", "<!-- figures: end -->"
    before, _, rest = page.read_text().partition(begin)
    page.write_text(before + begin + markdown(found) + end + rest.partition(end)[2])


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True, timeout=5
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
