"""`livedrop audit`: says of every invariant whether it holds."""

from __future__ import annotations

import asyncio
import sys
from typing import NoReturn
from uuid import UUID

import asyncpg
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from livedrop.kit.clock import rfc3339
from livedrop.kit.database import Database
from livedrop.kit.ids import parse_id
from livedrop.processes.database import running_database
from livedrop.settings import Settings
from livedrop.stock.audit import Report, audit

BROKEN, NOT_TOLD = 1, 2  # exit codes


def run(settings: Settings, *, drop: str | None = None, as_json: bool = False) -> None:
    """Prints the report; exits 1 where an invariant is broken, 2 where that can't be told."""
    drop_id = None if drop is None else parse_id(drop)
    if drop is not None and drop_id is None:
        _refuse(f"{drop!r} is not the id of a drop")
    try:
        report = asyncio.run(_report(settings, drop_id))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        _refuse(f"the books can't be read: {error}")
    if drop_id is not None and report.drops == 0:
        _refuse(f"there is no drop {drop_id}")
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        print_report(report, Console())
    if report.broken:
        raise SystemExit(BROKEN)


def print_report(report: Report, console: Console) -> None:
    """A table of the invariants, what broke them, and the verdict."""
    console.print(_table(report))
    for check in report.broken:
        for offender in check.offenders:
            console.print(Text(f"✗ {check.name}: {offender}"), soft_wrap=True)
        if check.breaches > len(check.offenders):
            console.print(Text(f"  … and {check.breaches - len(check.offenders):,} more"))
    verdict = f"{len(report.broken)} of {len(report.checks)} invariants are broken" if report.broken else "all hold"
    console.print(Text(f"Drops: {report.drops:,}, as of {rfc3339(report.at)}: {verdict}."), soft_wrap=True)


def _table(report: Report) -> Table:
    table = Table()
    table.add_column("invariant", no_wrap=True)
    table.add_column("checked", justify="right", no_wrap=True)
    table.add_column("breaches", justify="right", no_wrap=True)
    table.add_column("what must hold")
    for check in report.checks:
        style = "bold red" if check.breaches else None
        table.add_row(check.name, f"{check.checked:,}", f"{check.breaches:,}", check.promise, style=style)
    return table


async def _report(settings: Settings, drop_id: UUID | None) -> Report:
    async with running_database(settings) as url:
        database = await Database(url, connections_max=1, application_name="livedrop audit").open()
        try:
            return await audit(database, drop_id)
        finally:
            await database.close()


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"livedrop: {reason}.\n")
    raise SystemExit(NOT_TOLD)
