"""Throwing away what has run out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from livedrop.accounts import store
from livedrop.kit.database import Connection, Database

ROWS_PER_STATEMENT_MAX = 1_000
STATEMENTS_MAX = 100


async def prune(database: Database, *, rows_per_statement_max: int = ROWS_PER_STATEMENT_MAX) -> int:
    """Deletes ended sessions and counted failures of windows past; returns how many rows. Repeat it at leisure."""
    sessions = await _delete(database, store.prune_sessions, rows_per_statement_max)
    return sessions + await _delete(database, store.prune_failures, rows_per_statement_max)


async def _delete(database: Database, statement: Callable[[Connection, int], Awaitable[int]], rows_max: int) -> int:
    """In small statements, so that nobody waits for a lock of ours; what is left waits for the next time."""
    deleted = 0
    for _ in range(STATEMENTS_MAX):
        async with database.connection() as connection:
            now_deleted = await statement(connection, rows_max)
        deleted += now_deleted
        if now_deleted < rows_max:
            break
    return deleted
