"""`livedrop bench`: all figures in one run, with a database of its own that is gone afterwards."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil
import uvloop
from rich.console import Console
from rich.markdown import Markdown

from livedrop.bench import scenarios
from livedrop.bench.measure import Figure
from livedrop.bench.report import Report, markdown, report, write
from livedrop.bench.scenarios import QUICK, Plan
from livedrop.bench.stage import Stage, stage
from livedrop.kit.children import spawn
from livedrop.kit.starting import CannotStart
from livedrop.stock.audit import audit

RESULTS = Path("bench/results/latest.json")
PAGE = Path("docs/performance.md")
IDLE_SECONDS = 8.0

screen = Console(stderr=True)


def run(*, quick: bool) -> None:
    """Measures everything; a quick run tries the benchmark itself and writes nothing. Raises `CannotStart`."""
    plan = QUICK if quick else Plan()
    figures, held = uvloop.run(_measure(plan))
    found = report(figures, _idle_memory_mib(), audit_held=held)
    Console(width=160).print(Markdown(markdown(found)))
    if not quick:
        write(found, RESULTS, PAGE)
        screen.print(f"written to {RESULTS}" + (f" and {PAGE}" if PAGE.exists() else ""))
    _leave(found)


def _leave(found: Report) -> None:
    unclean = [figure.name for figure in found.figures.values() if not figure.clean]
    if unclean:
        screen.print(f"[yellow]unexpected answers in: {', '.join(unclean)}[/]")
    if not found.audit_held:
        raise SystemExit(1)


async def _measure(plan: Plan) -> tuple[dict[str, Figure], bool]:
    with tempfile.TemporaryDirectory(prefix="livedrop-bench-") as folder:
        async with stage(Path(folder)) as on:
            screen.print("making buyers …")
            buyers = await on.buyers(max(plan.buyers, plan.stored_buyers))
            crowd = buyers[: plan.buyers]
            figures: dict[str, Figure] = {}

            def keep(measured: dict[str, Figure]) -> None:
                figures.update(measured)
                for figure in measured.values():
                    screen.print(f"{figure.name:<45} {figure.rate:>9,.0f}/s   p99 {figure.p99_ms:>7,.1f} ms")

            for compared in (
                {
                    "noop_post": scenarios.noop(on, plan, "POST"),
                    "sold_out": await scenarios.sold_out(on, plan, crowd),
                },
                {"noop_get": scenarios.noop(on, plan, "GET"), "reads": await scenarios.reads(on, plan)},
                {
                    "reserves": scenarios.reserves(on, plan, crowd),
                    "spread": await scenarios.reserves_spread(on, plan, crowd),
                    "stored": await scenarios.reserves_stored(on, plan, crowd),
                    "one_by_one": scenarios.reserves_one_by_one(on, plan, crowd),
                },
                {"paid": scenarios.paid(on, plan, crowd)},
            ):
                keep(await scenarios.in_turns(plan, compared))
            orders, reads = await scenarios.paced_mix(on, plan, crowd)
            keep({"paced_orders": orders, "paced_reads": reads})
            return figures, await _audit(on)


async def _audit(on: Stage) -> bool:
    found = await audit(on.database)
    for check in found.broken:
        screen.print(f"[red]{check.name}: {check.breaches} breaches, such as {check.offenders[0]}[/]")
    return not found.broken


def _idle_memory_mib() -> float:
    """What everything that `livedrop up` starts uses when nobody comes: proportional set size, in MiB."""
    with tempfile.TemporaryDirectory(prefix="livedrop-idle-") as folder:
        environment = {**os.environ, "LIVEDROP_DATABASE_URL": "", "LIVEDROP_LOG_LEVEL": "error"}
        with open(Path(folder) / "up.log", "wb") as output:
            parent = spawn(
                [sys.executable, "-m", "livedrop", "up", "--demo", "--port", str(_free_port()), "--data-dir", folder],
                death_signal=signal.SIGTERM,
                environment=environment,
                output=output,
            )
            try:
                _wait_ready(Path(folder) / "up.log")
                time.sleep(IDLE_SECONDS)
                up = psutil.Process(parent.pid)
                return round(sum(_pss(process) for process in (up, *up.children(recursive=True))) / 2**20, 1)
            finally:
                parent.terminate()
                parent.wait(timeout=30)


def _wait_ready(log: Path) -> None:
    deadline = time.monotonic() + 60
    while b"is ready at" not in log.read_bytes():
        if time.monotonic() > deadline:
            raise CannotStart(f"livedrop up did not get ready: {log.read_text()[-500:]}")
        time.sleep(0.1)


def _pss(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(full, "pss", full.rss))


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
