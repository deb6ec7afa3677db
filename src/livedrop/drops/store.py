"""The SQL of drops. Heads, lots and orders are only read here: the till writes them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from livedrop.catalogue import ProductShown
from livedrop.drops.drop import Drop, Phase
from livedrop.kit.database import Connection, Record
from livedrop.stock import Head, Lot

_HEAD = ", ".join(f"h.{name}" for name in Head.__struct_fields__)
_LOT = ", ".join(f"l.{name}" for name in Lot.__struct_fields__)

_NOW = "SELECT clock_timestamp()"
_INSERT = """
INSERT INTO drops (id, creator_id, product_id, product, search, created_at) VALUES ($1, $2, $3, $4, $5, $6)
"""
_UPDATE_SEARCH = "UPDATE drops SET search = $2 WHERE id = $1"
# Locked first and read afterwards: whoever comes last reads the newest title.
_LOCK_TEXTS = "SELECT 1 FROM drops WHERE id = $1 FOR NO KEY UPDATE"
_TEXTS = "SELECT h.title, d.product FROM drop_heads h JOIN drops d ON d.id = h.drop_id WHERE h.drop_id = $1"
_STANDING = "SELECT creator_id, published, clock_timestamp() AS now FROM drop_heads WHERE drop_id = $1"
_VERSIONS = "SELECT drop_id, version, clock_timestamp() AS now FROM drop_heads WHERE drop_id = ANY ($1)"
# The statement's time, unlike the clock's, is one for all its rows, and an index can be searched by it.
_DROPS = f"""
SELECT statement_timestamp() AS now, d.product, ROW({_HEAD}) AS head,
    (SELECT array_agg(ROW({_LOT}) ORDER BY l.position) FROM lots l WHERE l.drop_id = h.drop_id) AS lots
FROM drop_heads h JOIN drops d ON d.id = h.drop_id
"""
_BY_IDS = f"{_DROPS}WHERE h.drop_id = ANY ($1)"
_BUYERS = """
SELECT u.name, o.quantity, o.updated_at AS at
FROM (
    SELECT user_id, quantity, updated_at, id FROM orders
    WHERE drop_id = $1 AND status = 'paid'
    ORDER BY updated_at DESC, id DESC LIMIT $2
) AS o
JOIN users u ON u.id = o.user_id
ORDER BY o.updated_at DESC, o.id DESC
"""

_PUBLIC = "h.published AND NOT h.cancelled"
_STARTED = f"{_PUBLIC} AND h.starts_at <= statement_timestamp()"
_SELLING = f"{_STARTED} AND (h.ends_at IS NULL OR h.ends_at > statement_timestamp())"
_SOME_LEFT = "EXISTS (SELECT FROM lots l WHERE l.drop_id = h.drop_id AND l.available > 0)"

# The phases, as conditions: the same as `rules.phase`, which a test compares them with.
_IS: dict[Phase, str] = {
    "draft": "NOT h.published AND NOT h.cancelled",
    "scheduled": f"{_PUBLIC} AND h.starts_at > statement_timestamp()",
    "live": f"{_SELLING} AND {_SOME_LEFT}",
    "sold_out": f"{_SELLING} AND NOT {_SOME_LEFT}",
    "ended": f"{_STARTED} AND h.ends_at <= statement_timestamp()",
    "cancelled": "h.cancelled",
}


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which drops a list holds: public ones, and the viewer's own where `with_own_of` names it.

    `patterns` must all be found in the searched text. `soonest_first`: by start, ascending; otherwise descending.
    """

    status: Phase | None = None
    creator_id: UUID | None = None
    with_own_of: UUID | None = None
    patterns: tuple[str, ...] = ()
    soonest_first: bool = False


class Standing(msgspec.Struct, frozen=True):
    """Whose a drop is, whether it was published, and the database's time at the reading."""

    creator_id: UUID
    published: bool
    now: datetime


async def database_now(connection: Connection) -> datetime:
    now: datetime = await connection.fetchval(_NOW)
    return now


async def insert(
    tx: Connection, drop_id: UUID, product: ProductShown, creator_id: UUID, search: str, now: datetime
) -> None:
    """Writes what a drop keeps of its product."""
    copied = msgspec.json.encode(product).decode()
    await tx.execute(_INSERT, drop_id, creator_id, product.id, copied, search, now)


async def lock_and_read_texts(tx: Connection, drop_id: UUID) -> tuple[str, ProductShown]:
    """The title and the product of a drop that exists."""
    await tx.execute(_LOCK_TEXTS, drop_id)
    row = await tx.fetchrow(_TEXTS, drop_id)
    assert row is not None, "a drop is never deleted"
    return row["title"], _product(row)


async def update_search(tx: Connection, drop_id: UUID, search: str) -> None:
    await tx.execute(_UPDATE_SEARCH, drop_id, search)


async def standing(connection: Connection, drop_id: UUID) -> Standing | None:
    row = await connection.fetchrow(_STANDING, drop_id)
    return None if row is None else Standing(*row)


async def versions(connection: Connection, drop_ids: Sequence[UUID]) -> tuple[dict[UUID, int], datetime | None]:
    """The versions of those of these drops that there are, and the database's time, if there is any."""
    rows = await connection.fetch(_VERSIONS, drop_ids)
    return {row["drop_id"]: row["version"] for row in rows}, rows[0]["now"] if rows else None


async def drops_by_id(connection: Connection, drop_ids: Sequence[UUID]) -> tuple[dict[UUID, Drop], datetime | None]:
    """Those of these drops that there are, all at one moment, and that moment, if there is any."""
    rows = await connection.fetch(_BY_IDS, drop_ids)
    drops = [_drop(row) for row in rows]
    return {drop.head.drop_id: drop for drop in drops}, rows[0]["now"] if rows else None


async def page(
    connection: Connection, filters: Filters, start: tuple[datetime, UUID] | None, *, offset: int, limit: int
) -> tuple[list[Drop], datetime | None]:
    """At most `limit` drops in order, from behind the sort key `start`, and the moment of all of them."""
    arguments: list[Any] = []

    def place(argument: Any) -> str:
        arguments.append(argument)
        return f"${len(arguments)}"

    if filters.with_own_of is None:
        conditions = ["h.published"]
    elif filters.status == "draft":
        conditions = [f"h.creator_id = {place(filters.with_own_of)}"]
    else:
        conditions = [f"(h.published OR h.creator_id = {place(filters.with_own_of)})"]
    if filters.status is not None:
        conditions.append(_IS[filters.status])
    if filters.creator_id is not None:
        conditions.append(f"h.creator_id = {place(filters.creator_id)}")
    if filters.patterns:
        conditions.append(f"d.search LIKE ALL ({place(list(filters.patterns))}::text[])")
    after, direction = (">", "ASC") if filters.soonest_first else ("<", "DESC")
    if start is not None:
        conditions.append(f"(h.starts_at, h.drop_id) {after} ({place(start[0])}, {place(start[1])})")
    rows = await connection.fetch(
        f"{_DROPS}WHERE {' AND '.join(conditions)}\n"
        f"ORDER BY h.starts_at {direction}, h.drop_id {direction} OFFSET {place(offset)} LIMIT {place(limit)}",
        *arguments,
    )
    return [_drop(row) for row in rows], rows[0]["now"] if rows else None


async def latest_buyers(connection: Connection, drop_id: UUID, limit: int) -> list[tuple[str, int, datetime]]:
    """Names, quantities and times of the latest paid orders, newest first."""
    return [(row["name"], row["quantity"], row["at"]) for row in await connection.fetch(_BUYERS, drop_id, limit)]


def _drop(row: Record) -> Drop:
    return Drop(Head(*row["head"]), tuple(Lot(*lot) for lot in row["lots"]), _product(row))


def _product(row: Record) -> ProductShown:
    return msgspec.json.decode(row["product"], type=ProductShown)
