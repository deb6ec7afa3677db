"""The SQL of creators' pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from livedrop.follows.creator import Creator
from livedrop.follows.errors import AlreadyCreator, HandleTaken
from livedrop.kit.database import Connection, Record
from livedrop.kit.words import folded, like_patterns
from livedrop.web.guards import AuthRequired

# What a list of creators is sorted by, newest first, and where it starts.
SORT_KEY = (datetime, UUID)
START = (datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1))

_COLUMNS = "id, handle, display_name, bio, avatar_url, created_at"
_INSERT = f"""
INSERT INTO creators (id, handle, display_name, bio, avatar_url, search) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING {_COLUMNS}
"""
_BY_IDS = f"SELECT {_COLUMNS} FROM creators WHERE id = ANY($1)"
_BY_HANDLE = f"SELECT {_COLUMNS} FROM creators WHERE lower(handle) = lower($1)"
_NEWEST = f"""
SELECT {_COLUMNS} FROM creators
WHERE (created_at, id) < ($1, $2)
  AND search LIKE ALL ($3::text[])
ORDER BY created_at DESC, id DESC
LIMIT $4 OFFSET $5
"""


async def insert(
    tx: Connection, user_id: UUID, handle: str, display_name: str, bio: str | None, avatar_url: str | None
) -> Creator:
    """Stores the new creator; the schema's unique indexes decide who was first."""
    try:
        row = await tx.fetchrow(_INSERT, user_id, handle, display_name, bio, avatar_url, folded(handle, display_name))
    except asyncpg.UniqueViolationError as error:
        raise (HandleTaken if error.constraint_name == "creators_handle" else AlreadyCreator) from None
    except asyncpg.ForeignKeyViolationError:  # a token that outlived its user
        raise AuthRequired from None
    assert row is not None, "an insert returns its row"
    return _creator(row)


async def by_ids(connection: Connection, ids: Sequence[UUID]) -> list[Creator]:
    return [_creator(row) for row in await connection.fetch(_BY_IDS, ids)]


async def by_handle(connection: Connection, handle: str) -> Creator | None:
    row = await connection.fetchrow(_BY_HANDLE, handle)
    return None if row is None else _creator(row)


async def newest(
    connection: Connection, before: tuple[datetime, UUID], search: str, limit: int, offset: int
) -> list[Creator]:
    """Creators made before `before`, newest first, whose handle and name hold every word of `search`."""
    patterns = like_patterns(search)
    return [_creator(row) for row in await connection.fetch(_NEWEST, *before, patterns, limit, offset)]


def _creator(row: Record) -> Creator:
    return Creator(**row)
