"""Revoked sessions, made known to the guard of each process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from livedrop.accounts import store
from livedrop.accounts.store import Revoked
from livedrop.kit.database import Database, is_away
from livedrop.web.guards import Guard

log = structlog.get_logger("livedrop.accounts")

# A session may be marked some time before that is committed and seen: longer than any transaction may last.
OVERLAP_SECONDS = 60
EVERY_SECONDS = 1.0
_THE_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


async def watch_revocations(database: Database, guard: Guard, *, every_seconds: float = EVERY_SECONDS) -> None:
    """Makes `guard` refuse the sessions that other processes revoke, within about a second; runs until cancelled.

    While the database is away it goes on with what it knows and tries again.
    """
    since, away = _THE_BEGINNING, False
    while True:
        try:
            since = await hear_revocations(database, guard, since)
            away = False
        except Exception as error:
            if not away:  # once for each time that it goes away
                log.warning("revocations_unheard", error=repr(error), exc_info=not is_away(error))
            away = True
        await asyncio.sleep(every_seconds)


async def hear_revocations(database: Database, guard: Guard, since: datetime = _THE_BEGINNING) -> datetime:
    """Tells `guard` what was revoked after `since` and still matters; returns from when to hear the next time."""
    async with database.connection() as connection:
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        revoked = await store.revoked_since(connection, since)
    forget(guard, revoked)
    return now - timedelta(seconds=OVERLAP_SECONDS)


def forget(guard: Guard, revoked: Sequence[Revoked]) -> None:
    """Makes the guard of this process refuse these sessions at once."""
    if revoked:
        until = max(each.access_ends_at for each in revoked)
        guard.forget([each.session_id for each in revoked], until.timestamp())
