"""What orders/ reads of orders and payments. Only the till writes them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from livedrop.kit.database import Connection, Database
from livedrop.stock import Order, Payment

_ORDER = ", ".join(f"o.{name}" for name in Order.__struct_fields__)
_PAYMENT = ", ".join(f"p.{name}" for name in Payment.__struct_fields__)

_ORDER_OF = f"SELECT {_ORDER} FROM orders o WHERE o.id = $1 AND (o.user_id = $2 OR o.creator_id = $2)"
_ORDER_BY_KEY = f"""
SELECT {_ORDER} FROM orders o WHERE o.drop_id = $1 AND o.user_id = $2 AND o.idempotency_key = $3
"""
_PAYMENT_OF = f"""
SELECT {_PAYMENT} FROM payments p WHERE p.id = $1 AND (p.user_id = $2 OR p.creator_id = $2)
"""
_PAYMENT_ROW = f"SELECT {_PAYMENT} FROM payments p WHERE p.drop_id = $1 AND p.id = $2"
_LIVE_HOLD = f"""
SELECT {_ORDER} FROM orders o
WHERE o.drop_id = $1 AND o.user_id = $2 AND o.status = 'reserved' AND o.hold_expires_at > clock_timestamp()
ORDER BY o.id LIMIT 1
"""
_PAID_BY_KEY = f"""
SELECT {_ORDER} FROM orders o JOIN payments p ON p.drop_id = o.drop_id AND p.order_id = o.id
WHERE o.drop_id = $1 AND o.user_id = $2 AND p.idempotency_key = $3
LIMIT 1
"""
_OWN_HOLDS = f"""
SELECT {_ORDER} FROM orders o
WHERE o.user_id = $1 AND o.status = 'reserved' AND o.hold_expires_at > clock_timestamp()
    AND ($2::uuid IS NULL OR o.id < $2)
ORDER BY o.id DESC LIMIT $3 OFFSET $4
"""
_OWN = f"""
SELECT {_ORDER} FROM orders o
WHERE o.user_id = $1 AND ($5::uuid IS NULL OR o.drop_id = $5) AND ($2::uuid IS NULL OR o.id < $2)
ORDER BY o.id DESC LIMIT $3 OFFSET $4
"""
_OF_DROP = f"""
SELECT {_ORDER} FROM orders o
WHERE o.drop_id = $1 AND o.creator_id = $5 AND ($2::uuid IS NULL OR o.id < $2)
ORDER BY o.id DESC LIMIT $3 OFFSET $4
"""
_DROP_OWNER = "SELECT creator_id, published FROM drop_heads WHERE drop_id = $1"
_SELLS_FOR_MONEY = "SELECT EXISTS (SELECT FROM lots WHERE drop_id = $1 AND unit_price_minor > 0)"
# `statement_timestamp()`, unlike `clock_timestamp()`, can be looked up in an index.
_HOLDS_ENDED = """
SELECT drop_id, id FROM orders
WHERE status = 'reserved' AND hold_expires_at <= statement_timestamp()
ORDER BY hold_expires_at LIMIT $1
"""
_OPEN_PAYMENTS = f"""
SELECT {_PAYMENT}, clock_timestamp() - p.created_at, EXISTS (
    SELECT FROM payments c WHERE c.drop_id = p.drop_id AND c.order_id = p.order_id
        AND c.status IN ('captured', 'refund_pending', 'refunded')
), EXISTS (
    SELECT FROM orders o JOIN drop_heads h USING (drop_id)
    WHERE o.drop_id = p.drop_id AND o.id = p.order_id AND (o.cancel_requested OR h.cancelled)
)
FROM payments p
WHERE p.status IN ('initiated', 'refund_pending')
    AND (p.status = 'refund_pending' OR p.updated_at < statement_timestamp() - make_interval(secs => $1))
    AND p.id <> ALL ($3::uuid[])
ORDER BY p.updated_at LIMIT $2
"""
_LEFT_OF_CANCELLED_DROPS = """
SELECT o.drop_id, o.id, o.status
FROM drop_heads h
JOIN orders o ON o.drop_id = h.drop_id AND o.status IN ('reserved', 'paid')
LEFT JOIN payments p ON p.drop_id = o.drop_id AND p.id = o.payment_id
WHERE h.cancelled
    AND EXISTS (SELECT FROM lots l WHERE l.drop_id = h.drop_id AND (l.reserved > 0 OR l.sold > 0))
    AND (o.status = 'reserved' OR p.id IS NULL OR p.status = 'captured')
LIMIT $1
"""
_FINAL = """
SELECT id FROM payments
WHERE id = ANY ($2) AND drop_id = ANY ($1) AND status IN ('captured', 'refund_pending', 'refunded')
"""


class OpenPayment(msgspec.Struct):
    """A payment whose outcome or refund is not confirmed yet.

    `superseded`: another payment paid its order. `unwanted`: its order was called off, or the whole drop.
    """

    payment: Payment
    age_seconds: float
    superseded: bool
    unwanted: bool


async def order_of(database: Database, order_id: UUID, user_id: UUID) -> Order | None:
    """The order, if this user is its buyer or its creator."""
    row = await database.fetchrow(_ORDER_OF, order_id, user_id)
    return None if row is None else Order(*row)


async def order_by_key(database: Database, drop_id: UUID, user_id: UUID, key: str) -> Order | None:
    row = await database.fetchrow(_ORDER_BY_KEY, drop_id, user_id, key)
    return None if row is None else Order(*row)


async def payment_of(database: Database, payment_id: UUID, user_id: UUID) -> Payment | None:
    """The payment, if this user is its buyer or its creator."""
    row = await database.fetchrow(_PAYMENT_OF, payment_id, user_id)
    return None if row is None else Payment(*row)


async def payment_row(database: Database, drop_id: UUID, payment_id: UUID) -> Payment | None:
    row = await database.fetchrow(_PAYMENT_ROW, drop_id, payment_id)
    return None if row is None else Payment(*row)


async def live_hold(database: Database, drop_id: UUID, user_id: UUID) -> Order | None:
    """The oldest reservation of this buyer on this drop that can still be paid."""
    row = await database.fetchrow(_LIVE_HOLD, drop_id, user_id)
    return None if row is None else Order(*row)


async def order_paid_by_key(database: Database, drop_id: UUID, user_id: UUID, key: str) -> Order | None:
    """The buyer's order on this drop that a payment was begun for under this key."""
    row = await database.fetchrow(_PAID_BY_KEY, drop_id, user_id, key)
    return None if row is None else Order(*row)


async def own_holds(database: Database, user_id: UUID, after: UUID | None, limit: int, offset: int) -> list[Order]:
    return [Order(*row) for row in await database.fetch(_OWN_HOLDS, user_id, after, limit, offset)]


async def own_orders(
    database: Database, user_id: UUID, drop_id: UUID | None, after: UUID | None, limit: int, offset: int
) -> list[Order]:
    return [Order(*row) for row in await database.fetch(_OWN, user_id, after, limit, offset, drop_id)]


async def orders_of_drop(
    database: Database, drop_id: UUID, creator_id: UUID, after: UUID | None, limit: int, offset: int
) -> list[Order]:
    return [Order(*row) for row in await database.fetch(_OF_DROP, drop_id, after, limit, offset, creator_id)]


async def drop_owner(database: Database, drop_id: UUID) -> tuple[UUID, bool] | None:
    """The drop's creator, and whether it is public."""
    row = await database.fetchrow(_DROP_OWNER, drop_id)
    return None if row is None else (row[0], row[1])


async def sells_for_money(database: Database, drop_id: UUID) -> bool:
    """Whether anything of this drop costs something."""
    return bool(await database.fetchval(_SELLS_FOR_MONEY, drop_id))


async def holds_ended(database: Database, limit: int) -> list[tuple[UUID, UUID]]:
    """Reservations (drop, order) whose hold has ended: candidates; the till looks again under the lock."""
    return [(row[0], row[1]) for row in await database.fetch(_HOLDS_ENDED, limit)]


async def open_payments(
    database: Database, quiet_seconds: float, limit: int, but_not: Sequence[UUID]
) -> list[OpenPayment]:
    """Payments that wait for an outcome (untouched for `quiet_seconds`) or for a refund's confirmation."""
    rows = await database.fetch(_OPEN_PAYMENTS, quiet_seconds, limit, but_not)
    return [OpenPayment(Payment(*row[:-3]), row[-3].total_seconds(), row[-2], row[-1]) for row in rows]


async def left_of_cancelled_drops(database: Database, limit: int) -> list[tuple[UUID, UUID, str]]:
    """Orders (drop, order, status) of cancelled drops that are to be released or refunded."""
    return [(row[0], row[1], row[2]) for row in await database.fetch(_LEFT_OF_CANCELLED_DROPS, limit)]


async def final_payments(connection: Connection, drop_ids: list[UUID], payment_ids: list[UUID]) -> set[UUID]:
    """Those of these payments whose money is known to be taken: hearing so again changes nothing."""
    return {row[0] for row in await connection.fetch(_FINAL, drop_ids, payment_ids)}
