"""A batch must cost the same however many orders there are, also in the first minute of a new installation.

PostgreSQL plans a statement once for a connection. While the tables are empty every index seems as good as any
other; nothing tells it later that they have grown, until autovacuum gathers statistics.
"""

from __future__ import annotations

import asyncio

import pytest

from livedrop.kit.database import Database
from livedrop.stock import Sell, Till, till
from shop import Drop, Shop, sell

ORDERS = 20_000
SOLD = 20

_FILL = """
WITH made AS (
    INSERT INTO orders (id, drop_id, user_id, creator_id, product_id, variant_id, quantity, unit_price_minor,
        total_minor, currency, status, hold_expires_at, payment_id, one_step, idempotency_key, fingerprint,
        created_at, updated_at)
    SELECT gen_random_uuid(), h.drop_id, gen_random_uuid(), h.creator_id, h.product_id, l.variant_id, 1,
        l.unit_price_minor, l.unit_price_minor, l.currency, 'paying', now(), gen_random_uuid(), true, 'key', 'x',
        now(), now()
    FROM drop_heads h JOIN lots l USING (drop_id) CROSS JOIN generate_series(1, $2) WHERE h.drop_id = $1
    RETURNING *
), counted AS (
    UPDATE lots SET available = available - $2, reserved = reserved + $2 WHERE drop_id = $1
)
INSERT INTO payments (id, drop_id, order_id, user_id, creator_id, amount_minor, currency, method, provider, status,
    created_at, updated_at)
SELECT payment_id, drop_id, id, user_id, creator_id, total_minor, currency, 'card', 'sandbox', 'initiated', now(),
    now()
FROM made
"""
_READ_BY_INDEX = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('orders', 'payments')"
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


async def test_plans_follow_the_tables(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen without it: 800,000 index entries read for 20 payments of 20,000 orders; with it, some hundreds."""
    monkeypatch.setattr(till, "PLANS_AGE_MAX_SECONDS", 0.0)
    shop = await Shop(database).open()
    drop = await shop.drop(2 * ORDERS)
    selling = Till(database)
    (buyer,) = await shop.buyers(1)
    await selling.settle(sell(await selling.reserve(drop.reserve(buyer, pay=True))))

    await database.fetch(_FILL, drop.id, ORDERS)
    payments = await _open_payments(database, drop)
    await database.fetch("SELECT pg_stat_force_next_flush()")  # or what was read so far is counted later
    before = await database.fetchval(_READ_BY_INDEX)
    for payment in payments:
        assert (await selling.settle(payment)).order.status == "paid"
    await selling.close()
    # The counts are published when the till's connection has ended.
    while await database.fetchval(_CONNECTIONS) > 1:
        await asyncio.sleep(0.01)
    assert await database.fetchval(_READ_BY_INDEX) - before < 50 * SOLD


async def _open_payments(database: Database, drop: Drop) -> list[Sell]:
    rows = await database.fetch(
        "SELECT order_id, id FROM payments WHERE drop_id = $1 AND status = 'initiated' LIMIT $2", drop.id, SOLD
    )
    return [Sell(drop_id=drop.id, order_id=order_id, payment_id=payment_id) for order_id, payment_id in rows]
