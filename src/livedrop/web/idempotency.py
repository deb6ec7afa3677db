"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a retry gets the first answer again.

Orders keep their key for life (stock/). Every other POST that creates something uses the small table here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from litestar import Response
from litestar.params import HeaderParameter

from livedrop.kit.database import Connection, Database
from livedrop.web.keys import KeyReused, RequestInProgress, fingerprint, parse_key

KEPT_HOURS = 24

# What `parse_key` takes. Only said, not checked by the framework, so that what is none gets a refusal of its own.
_FORM: dict[str, Any] = {"pattern": r'^([!#-~][ -~]{0,254}|"([ !#-\[\]-~]|\\["\\]){1,255}")$'}
Key = Annotated[str | None, HeaderParameter(name="Idempotency-Key", schema_extra=_FORM)]
RequiredKey = Annotated[str, HeaderParameter(name="Idempotency-Key", schema_extra=_FORM)]

_TAKE = """
INSERT INTO idempotency_keys (user_id, operation, key, fingerprint, expires_at)
VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(hours => $5))
ON CONFLICT (user_id, operation, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, status = NULL, answer = NULL, expires_at = excluded.expires_at
    WHERE idempotency_keys.expires_at <= clock_timestamp()
"""
_PAST = "SELECT fingerprint, status, answer FROM idempotency_keys WHERE user_id = $1 AND operation = $2 AND key = $3"
_PRUNE = """
DELETE FROM idempotency_keys WHERE (user_id, operation, key) IN (
    SELECT user_id, operation, key FROM idempotency_keys WHERE expires_at <= clock_timestamp() LIMIT 1000
)
"""
_KEEP = "UPDATE idempotency_keys SET status = $4, answer = $5 WHERE user_id = $1 AND operation = $2 AND key = $3"


async def once(
    database: Database,
    user_id: UUID,
    operation: str,
    header: str | None,
    body: Any,
    work: Callable[[Connection], Awaitable[tuple[int, msgspec.Struct]]],
) -> Response[Any]:
    """Does `work` in one transaction, at most once for a key, and answers with its status and JSON body.

    Without the header it simply does the work. A second request with the key waits for the first and gets its
    answer with `Idempotent-Replayed: true`; another body under the key is refused (422). A refusal stores nothing.
    """
    if header is None:
        async with database.transaction() as tx:
            status, made = await work(tx)
        return _answer(status, msgspec.json.encode(made))
    key = parse_key(header.encode("latin-1"))
    print_ = fingerprint(operation, body)
    try:
        async with database.transaction() as tx:
            taken = await tx.execute(_TAKE, user_id, operation, key, print_, KEPT_HOURS)
            if taken == "INSERT 0 1":
                status, made = await work(tx)
                answer = msgspec.json.encode(made)
                await tx.execute(_KEEP, user_id, operation, key, status, answer)
                return _answer(status, answer)
            past = await tx.fetchrow(_PAST, user_id, operation, key)
    except asyncpg.LockNotAvailableError:
        raise RequestInProgress from None
    assert past is not None, "a key that is taken has a row"
    if past["fingerprint"] != print_:
        raise KeyReused
    return _answer(past["status"], past["answer"], replayed=True)


def _answer(status: int, body: bytes, *, replayed: bool = False) -> Response[Any]:
    return Response(
        body,
        status_code=status,
        media_type="application/json",
        headers={"Idempotent-Replayed": "true"} if replayed else None,
    )


async def prune_keys(database: Database) -> int:
    """Deletes keys that have run out, a thousand at a time; how many."""
    async with database.connection() as connection:
        done = await connection.execute(_PRUNE)
    return int(done.removeprefix("DELETE "))
