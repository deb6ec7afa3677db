"""`livedrop crowd`: a crowd of real buyers against a running server, and its verdict; `livedrop audit` afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import msgspec

from api_processes import api_processes
from livedrop.crowd.buy import Verdict
from livedrop.kit.database import Database

BUYERS, UNITS = 500, 60
NOBODY = "http://127.0.0.1:9"  # the discard port


class Said(msgspec.Struct):
    """How a command ended."""

    status: int
    output: str
    error: str


async def _livedrop(*arguments: str, **settings: str) -> Said:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LIVEDROP_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "livedrop", *arguments),
        env={**ours, **{f"LIVEDROP_{name}": value for name, value in settings.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, error = await asyncio.wait_for(process.communicate(), timeout=60)
    assert process.returncode is not None
    return Said(process.returncode, output.decode(), error.decode())


async def _crowd(url: str, *options: str) -> Said:
    return await _livedrop("crowd", "--url", url, "--buyers", str(BUYERS), "--units", str(UNITS), *options)


async def test_a_crowd_buys_exactly_what_there_is_and_the_books_are_sound(
    database_url: str, database: Database
) -> None:
    async with api_processes(database_url, 1) as (target,):
        said = await _crowd(f"http://{target.host}:{target.port}", "--json")
        verdict = msgspec.json.decode(said.output, type=Verdict)
        table = await _crowd(f"http://{target.host}:{target.port}")
    assert (said.status, table.status) == (0, 0), said.error + table.error
    assert (verdict.buyers, verdict.units, verdict.sold) == (BUYERS, UNITS, UNITS)
    assert (verdict.oversold, verdict.undersold, verdict.duplicates, verdict.lost) == (0, 0, 0, 0)
    assert (verdict.retries, verdict.retries_that_differed) == (BUYERS // 10, 0)
    assert sum(verdict.answers.values()) == BUYERS + verdict.retries
    assert set(verdict.answers) == {"201 paid", "409 sold_out"}
    assert verdict.orders_per_second > 0
    assert "exactly what there was" in table.output
    paid = await database.fetchval("SELECT count(*) FROM orders WHERE drop_id = $1::uuid", verdict.drop_id)
    assert paid == UNITS

    audit = await _livedrop("audit", DATABASE_URL=database_url)
    assert (audit.status, audit.error) == (0, "")
    assert "all hold" in audit.output


async def test_the_verdict_is_bad_where_the_server_loses_an_order(database_url: str, database: Database) -> None:
    """A server that forgets what it sold: a trigger drops every tenth order behind the till's back."""
    async with database.connection() as connection:
        await connection.execute(
            """
            CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                DELETE FROM orders WHERE ctid = (SELECT min(ctid) FROM orders);
                RETURN NULL;
            END $$;
            CREATE TRIGGER forget AFTER UPDATE ON lots FOR EACH STATEMENT EXECUTE FUNCTION forget()
            """
        )
    async with api_processes(database_url, 1) as (target,):
        said = await _crowd(f"http://{target.host}:{target.port}", "--json")
    verdict = json.loads(said.output)
    assert said.status == 1
    assert verdict["lost"] > 0
    audit = await _livedrop("audit", DATABASE_URL=database_url)
    assert audit.status == 1


async def test_without_the_development_login_there_is_no_crowd(database_url: str) -> None:
    async with api_processes(database_url, 1, mode="production") as (target,):
        said = await _crowd(f"http://{target.host}:{target.port}", "--json")
    assert (said.status, said.output) == (1, "")
    assert said.error == (
        "livedrop: The crowd could not go on: its buyers sign in by handle, "
        "which this server allows in development mode only\n"
    )


async def test_without_a_server_there_is_no_crowd() -> None:
    for url in (NOBODY, "https://localhost", "localhost:4000"):
        said = await _crowd(url)
        assert (said.status, said.output) == (1, "")
        assert said.error.startswith("livedrop: The crowd can't reach ")
        assert said.error.count("\n") == 1
