"""A drop with a long past: many orders of many buyers, written by statement, true in every invariant."""

from __future__ import annotations

from uuid import UUID

from livedrop.kit.database import Database

_ORDERS = """
INSERT INTO orders (
    id, drop_id, user_id, creator_id, product_id, variant_id, quantity, unit_price_minor, total_minor, currency,
    hold_expires_at, one_step, idempotency_key, fingerprint, created_at, status, payment_id, cancel_requested,
    answer_status, answer_at, updated_at
)
SELECT gen_random_uuid(), h.drop_id, u.id, h.creator_id, h.product_id, l.variant_id, 1, l.unit_price_minor,
    l.unit_price_minor, l.currency, clock_timestamp() + interval '1 day', false, 'past-' || n, '\\x00',
    clock_timestamp(), 'reserved', NULL, false, 201, clock_timestamp(), clock_timestamp()
FROM generate_series($2::bigint, $3::bigint) AS n
JOIN drop_heads h ON h.drop_id = $1
JOIN lots l ON l.drop_id = h.drop_id
JOIN bench_buyers u ON u.number = n % $4
"""
_BUYERS = """
CREATE TEMPORARY TABLE bench_buyers AS
SELECT row_number() OVER (ORDER BY id) - 1 AS number, id FROM users ORDER BY id LIMIT $1
"""
_FACTS = """
INSERT INTO facts (drop_id, seq_first, seq_last, creator_id, payload, created_at)
SELECT h.drop_id, min(n.seq), max(n.seq), h.creator_id, json_agg(
        json_build_object(
            'type', 'order.reserved', 'id', gen_random_uuid(), 'seq', n.seq, 'order_id', n.id,
            'user_id', n.user_id, 'variant_id', n.variant_id, 'quantity', 1
        ) ORDER BY n.seq
    ), clock_timestamp()
FROM drop_heads h
JOIN (
    SELECT o.*, row_number() OVER (ORDER BY o.id) + (SELECT seq FROM drop_heads WHERE drop_id = $1) AS seq
    FROM orders o WHERE o.drop_id = $1
) AS n ON n.drop_id = h.drop_id
WHERE h.drop_id = $1
GROUP BY h.drop_id, n.seq / 250
"""
_LOT = "UPDATE lots SET available = available - $2, reserved = reserved + $2 WHERE drop_id = $1"
_HEAD = """
UPDATE drop_heads SET seq = seq + $2, version = version + 1, orders_placed = orders_placed + $2 WHERE drop_id = $1
"""
ORDERS_PER_STATEMENT = 50_000


async def store_orders(database: Database, drop_id: UUID, *, orders: int, buyers: int) -> None:
    """Gives an unsold drop this many reservations, shared by the first `buyers` users."""
    connection = await database.connect()
    try:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute("SET idle_in_transaction_session_timeout = 0")
        async with connection.transaction():
            await connection.execute(_BUYERS.replace("$1", str(buyers)))
            for start in range(0, orders, ORDERS_PER_STATEMENT):
                end = min(start + ORDERS_PER_STATEMENT, orders) - 1
                await connection.execute(_ORDERS, drop_id, start, end, buyers, timeout=120)
            await connection.execute(_FACTS, drop_id, timeout=300)
            await connection.execute(_LOT, drop_id, orders)
            await connection.execute(_HEAD, drop_id, orders)
        # As autovacuum does after so many inserts, sooner or later; not in the middle of what is measured.
        await connection.execute("VACUUM (ANALYZE) orders", timeout=300)
        await connection.execute("CHECKPOINT", timeout=300)
    finally:
        await connection.close()
