"""The SQL of accounts: users, sessions, failed sign-ins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from livedrop.accounts.account import Account
from livedrop.accounts.errors import EmailTaken
from livedrop.accounts.rules import (
    FAILURES_WINDOW_SECONDS,
    SESSION_DAYS_MAX,
    SESSION_IDLE_DAYS,
    Failures,
    Session,
)
from livedrop.accounts.tokens import ACCESS_SECONDS, CLOCK_SKEW_SECONDS
from livedrop.kit.database import Connection, Record

_ACCOUNT = "users.id, users.name, users.email, users.created_at"

# An access token ends by the clock of the host that made it; the session remembers a little longer.
_ACCESS_SECONDS = ACCESS_SECONDS + CLOCK_SKEW_SECONDS

_INSERT_ACCOUNT = f"""
INSERT INTO users (id, name, email, password_hash) VALUES ($1, $2, $3, $4)
RETURNING {_ACCOUNT}
"""
_ACCOUNT_BY_ID = f"SELECT {_ACCOUNT} FROM users WHERE id = $1"
_ACCOUNT_BY_EMAIL = f"SELECT {_ACCOUNT}, password_hash FROM users WHERE lower(email) = lower($1)"
_RENAME = f"""
UPDATE users SET name = $2, updated_at = clock_timestamp() WHERE id = $1 AND name <> $2
RETURNING {_ACCOUNT}
"""
_REPLACE_HASH = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2"

_DEVELOPMENT_USERS = "SELECT dev_handle, id FROM users WHERE dev_handle = ANY($1)"
_INSERT_DEVELOPMENT_USERS = """
INSERT INTO users (id, name, dev_handle)
SELECT id, handle, handle FROM unnest($1::uuid[], $2::text[]) AS made (id, handle)
ON CONFLICT (dev_handle) DO NOTHING
RETURNING dev_handle, id
"""

_INSERT_SESSION = """
INSERT INTO sessions (id, user_id, refresh_digest, access_ends_at, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), clock_timestamp() + make_interval(days => $5))
"""
_INSERT_BARE_SESSIONS = """
INSERT INTO sessions (id, user_id, access_ends_at, expires_at)
SELECT id, user_id, ends_at, ends_at
FROM unnest($1::uuid[], $2::uuid[]) AS made (id, user_id),
     (SELECT clock_timestamp() + make_interval(secs => $3)) AS lifetime (ends_at)
"""
_LOCK_SESSION = f"""
SELECT sessions.id AS session_id, refresh_digest, previous_digest, sealed_successor, refreshed_at, expires_at,
       revoked_at IS NOT NULL AS revoked, clock_timestamp() AS now, {_ACCOUNT}
FROM sessions JOIN users ON users.id = sessions.user_id
WHERE sessions.id = $1
FOR UPDATE OF sessions
"""
_ROTATE = """
UPDATE sessions
SET previous_digest = refresh_digest, refresh_digest = $2, sealed_successor = $3, refreshed_at = clock_timestamp(),
    expires_at = LEAST(clock_timestamp() + make_interval(days => $4), created_at + make_interval(days => $5))
WHERE id = $1
"""
_EXTEND_ACCESS = """
UPDATE sessions SET access_ends_at = clock_timestamp() + make_interval(secs => $2) WHERE id = $1
"""
# A revoked session needs to be known for as long as its access tokens would be good, no longer.
_REVOKE = """
UPDATE sessions SET revoked_at = clock_timestamp(), expires_at = access_ends_at
WHERE id = ANY($1) AND revoked_at IS NULL
RETURNING id, access_ends_at
"""
_OLDEST_SESSIONS = """
SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND refresh_digest IS NOT NULL
ORDER BY created_at DESC OFFSET $2
"""
_REVOKED_SINCE = """
SELECT id, access_ends_at FROM sessions WHERE revoked_at > $1 AND access_ends_at > clock_timestamp()
"""

_FAILURES = """
SELECT subject, failures, ceil(extract(epoch FROM window_ends_at - clock_timestamp()))::integer AS seconds_left
FROM sign_in_failures WHERE subject = ANY($1) AND window_ends_at > clock_timestamp()
"""
_COUNT_FAILURE = """
INSERT INTO sign_in_failures AS known (subject, failures, window_ends_at)
SELECT subject, 1, now() + make_interval(secs => $2) FROM unnest($1::text[]) AS subject
ON CONFLICT (subject) DO UPDATE SET
    failures = CASE WHEN known.window_ends_at <= now() THEN 1 ELSE known.failures + 1 END,
    window_ends_at = CASE WHEN known.window_ends_at <= now() THEN excluded.window_ends_at
                          ELSE known.window_ends_at END
"""

_PRUNE_SESSIONS = """
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE expires_at < clock_timestamp() AND access_ends_at < clock_timestamp() LIMIT $1
)
"""
_PRUNE_FAILURES = """
DELETE FROM sign_in_failures WHERE subject IN (
    SELECT subject FROM sign_in_failures WHERE window_ends_at < clock_timestamp() LIMIT $1
) AND window_ends_at < clock_timestamp()
"""


class StoredPassword(msgspec.Struct, frozen=True):
    account: Account
    password_hash: str


class Revoked(msgspec.Struct, frozen=True):
    """A revoked session, and when the last of its access tokens ends of itself."""

    session_id: UUID
    access_ends_at: datetime


async def insert_account(tx: Connection, user_id: UUID, name: str, email: str, password_hash: str) -> Account:
    """Stores the new account; the schema's unique index has the last word on its e-mail."""
    try:
        row = await tx.fetchrow(_INSERT_ACCOUNT, user_id, name, email, password_hash)
    except asyncpg.UniqueViolationError:
        raise EmailTaken from None
    assert row is not None, "an insert returns its row"
    return _account(row)


async def account_by_id(connection: Connection, user_id: UUID) -> Account | None:
    row = await connection.fetchrow(_ACCOUNT_BY_ID, user_id)
    return None if row is None else _account(row)


async def password_by_email(connection: Connection, email: str) -> StoredPassword | None:
    row = await connection.fetchrow(_ACCOUNT_BY_EMAIL, email)
    return None if row is None else StoredPassword(_account(row), row["password_hash"])


async def rename(tx: Connection, user_id: UUID, name: str) -> Account | None:
    """The account under its new name, or None where it has that name already (or isn't there)."""
    row = await tx.fetchrow(_RENAME, user_id, name)
    return None if row is None else _account(row)


async def replace_hash(tx: Connection, user_id: UUID, old: str, new: str) -> None:
    await tx.execute(_REPLACE_HASH, user_id, old, new)


async def development_users(tx: Connection, handles: Sequence[str]) -> dict[str, UUID]:
    return {row["dev_handle"]: row["id"] for row in await tx.fetch(_DEVELOPMENT_USERS, handles)}


async def insert_development_users(tx: Connection, made: dict[str, UUID]) -> dict[str, UUID]:
    """Those of these users that nobody else made first."""
    rows = await tx.fetch(_INSERT_DEVELOPMENT_USERS, list(made.values()), list(made))
    return {row["dev_handle"]: row["id"] for row in rows}


async def insert_session(tx: Connection, session_id: UUID, user_id: UUID, refresh_digest: bytes) -> None:
    await tx.execute(_INSERT_SESSION, session_id, user_id, refresh_digest, _ACCESS_SECONDS, SESSION_IDLE_DAYS)


async def insert_bare_sessions(
    tx: Connection, session_ids: Sequence[UUID], user_ids: Sequence[UUID], lifetime_seconds: int
) -> None:
    """Stores sessions with one access token each and no refresh token."""
    await tx.execute(_INSERT_BARE_SESSIONS, session_ids, user_ids, lifetime_seconds + CLOCK_SKEW_SECONDS)


async def lock_session(tx: Connection, session_id: UUID) -> Session | None:
    row = await tx.fetchrow(_LOCK_SESSION, session_id)
    if row is None:
        return None
    return Session(
        id=row["session_id"],
        account=_account(row),
        refresh_digest=row["refresh_digest"],
        previous_digest=row["previous_digest"],
        sealed_successor=row["sealed_successor"],
        refreshed_at=row["refreshed_at"],
        expires_at=row["expires_at"],
        revoked=row["revoked"],
        now=row["now"],
    )


async def rotate(tx: Connection, session_id: UUID, new_digest: bytes, sealed: bytes) -> None:
    await tx.execute(_ROTATE, session_id, new_digest, sealed, SESSION_IDLE_DAYS, SESSION_DAYS_MAX)


async def extend_access(tx: Connection, session_id: UUID) -> None:
    """Remembers that an access token is being given out now."""
    await tx.execute(_EXTEND_ACCESS, session_id, _ACCESS_SECONDS)


async def oldest_sessions(tx: Connection, user_id: UUID, keep: int) -> list[UUID]:
    """The user's sessions but for the `keep` newest ones."""
    return [row["id"] for row in await tx.fetch(_OLDEST_SESSIONS, user_id, keep)]


async def revoke(tx: Connection, session_ids: Sequence[UUID]) -> list[Revoked]:
    return [_revoked(row) for row in await tx.fetch(_REVOKE, session_ids)]


async def revoked_since(connection: Connection, since: datetime) -> list[Revoked]:
    """Sessions revoked after `since` whose access tokens may still be about."""
    return [_revoked(row) for row in await connection.fetch(_REVOKED_SINCE, since)]


async def failures(connection: Connection, subjects: Sequence[str]) -> dict[str, Failures]:
    rows = await connection.fetch(_FAILURES, subjects)
    return {row["subject"]: Failures(row["failures"], row["seconds_left"]) for row in rows}


async def count_failure(connection: Connection, subjects: Sequence[str]) -> None:
    """One more failure for each; sorted, so that two of these never wait for each other."""
    await connection.execute(_COUNT_FAILURE, sorted(subjects), FAILURES_WINDOW_SECONDS)


async def clear_failures(connection: Connection, subject: str) -> None:
    await connection.execute("DELETE FROM sign_in_failures WHERE subject = $1", subject)


async def prune_sessions(connection: Connection, rows_max: int) -> int:
    return _count(await connection.execute(_PRUNE_SESSIONS, rows_max))


async def prune_failures(connection: Connection, rows_max: int) -> int:
    return _count(await connection.execute(_PRUNE_FAILURES, rows_max))


def _account(row: Record) -> Account:
    return Account(id=row["id"], name=row["name"], email=row["email"], created_at=row["created_at"])


def _revoked(row: Record) -> Revoked:
    return Revoked(row["id"], row["access_ends_at"])


def _count(status: str) -> int:
    """The number in a statement's status: `DELETE 3`."""
    return int(status.rpartition(" ")[2])
