"""`livedrop crowd`: the crowd, with its progress and its verdict on screen."""

from __future__ import annotations

import sys

import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from livedrop.crowd.buy import CrowdFailed, Verdict, buy
from livedrop.kit.starting import CannotStart


def run(*, url: str, buyers: int, units: int, as_json: bool) -> None:
    """Runs the crowd against a running server; leaves with status 1 on a bad verdict. Raises `CannotStart`."""
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bars:
        tasks = {}

        def progress(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=of)
            bars.update(tasks[step], completed=done, total=of)

        try:
            verdict = uvloop.run(buy(url, buyers=buyers, units=units, progress=progress))
        except CrowdFailed as error:
            raise CannotStart(f"The crowd could not go on: {error}") from None
        except (OSError, ValueError, TimeoutError) as error:
            raise CannotStart(f"The crowd can't reach {url}: {error}") from None
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(verdict), indent=2) + b"\n")
    else:
        Console().print(_table(verdict))
    if not verdict.good:
        raise SystemExit(1)


def _table(verdict: Verdict) -> Table:
    table = Table(title=f"{verdict.buyers:,} buyers, {verdict.units:,} units", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("sold", f"{verdict.sold:,}")
    for name in ("oversold", "undersold", "duplicates", "lost"):
        count = getattr(verdict, name)
        table.add_row(name, f"[red]{count:,}[/]" if count else "[green]0[/]")
    table.add_row("retries", f"{verdict.retries:,}, {verdict.retries_that_differed:,} answered differently")
    table.add_section()
    for outcome, count in verdict.answers.items():
        table.add_row(outcome, f"{count:,}")
    table.add_section()
    table.add_row("answers a second", f"{verdict.orders_per_second:,.0f}")
    table.add_row("p50 · p95 · p99", f"{verdict.p50_ms:.0f} · {verdict.p95_ms:.0f} · {verdict.p99_ms:.0f} ms")
    table.add_section()
    table.add_row("verdict", "[green]exactly what there was[/]" if verdict.good else "[red]broken promise[/]")
    return table
