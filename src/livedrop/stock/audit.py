"""Auditing: every invariant of stock, orders, payments and facts, checked in one snapshot. Only reads.

The subjects of each invariant are counted first; the offenders are named only where there are any.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from livedrop.kit.database import Connection, Database
from livedrop.stock.invariants import INVARIANTS, Invariant

STATEMENT_TIMEOUT_SECONDS = 600
OFFENDERS_MAX = 5
OFFENDER_LENGTH_MAX = 300

# The look-ups of a whole database are sorts and hashes; one worker, because it runs beside a load.
_SETTINGS = f"""
SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s';
SET LOCAL work_mem = '64MB';
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL plan_cache_mode = force_custom_plan
"""
_MOMENT = "SELECT clock_timestamp() AS at, count(*) AS drops FROM drop_heads WHERE $1::uuid IS NULL OR drop_id = $1"
_COUNT = "SELECT count(*), count(*) FILTER (WHERE broken IS NOT FALSE) FROM ({}) AS subject"
_NAME = "SELECT left(offender, $2) FROM ({}) AS subject WHERE broken IS NOT FALSE LIMIT $3"


class Check(msgspec.Struct, frozen=True):
    """What became of one invariant: how many subjects were looked at, how many broke it, and the first few."""

    name: str
    promise: str
    checked: int
    breaches: int
    offenders: list[str]


class Report(msgspec.Struct, frozen=True):
    """All invariants as they stood at one moment of the database; `drops` is how many drops were looked at."""

    at: datetime
    drop_id: UUID | None
    drops: int
    checks: list[Check]

    @property
    def broken(self) -> list[Check]:
        return [check for check in self.checks if check.breaches]


async def audit(database: Database, drop_id: UUID | None = None) -> Report:
    """Checks every invariant of all drops, or of this one. Raises what the database raises."""
    async with database.snapshot() as snapshot:
        await snapshot.execute(_SETTINGS)
        moment = await snapshot.fetchrow(_MOMENT, drop_id)
        assert moment is not None, "a count has a row"
        checks = [await _check(snapshot, invariant, drop_id) for invariant in INVARIANTS]
        return Report(moment["at"], drop_id, moment["drops"], checks)


async def _check(snapshot: Connection, invariant: Invariant, drop_id: UUID | None) -> Check:
    patience_seconds = STATEMENT_TIMEOUT_SECONDS + 5
    row = await snapshot.fetchrow(_COUNT.format(invariant.subjects), drop_id, timeout=patience_seconds)
    assert row is not None, "a count has a row"
    checked, breaches = row
    offenders = []
    if breaches:
        offenders = await snapshot.fetch(
            _NAME.format(invariant.subjects), drop_id, OFFENDER_LENGTH_MAX, OFFENDERS_MAX, timeout=patience_seconds
        )
    return Check(invariant.name, invariant.promise, checked, breaches, [offender for (offender,) in offenders])
