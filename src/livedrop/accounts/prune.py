"""Throwing away what has run out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from livedrop.accounts import store
from livedrop.kit.database import Connection, Database

ROWS_PER_STATEMENT_MAX = 1_000
STATEMENTS_MAX = 100


async def prune(database: Database) -> int:
    """Deletes ended sessions and counted failures of windows past; returns how many rows. Repeat it at leisure."""
    return await _delete(database, store.prune_sessions) + await _delete(database, store.prune_failures)


async def _delete(database: Database, statement: Callable[[Connection, int], Awaitable[int]]) -> int:
    """In small statements, so that nobody waits for a lock of ours; what is left waits for the next time."""
    deleted = 0
    for _ in range(STATEMENTS_MAX):
        async with database.connection() as connection:
            now_deleted = await statement(connection, ROWS_PER_STATEMENT_MAX)
        deleted += now_deleted
        if now_deleted < ROWS_PER_STATEMENT_MAX:
            break
    return deleted
