"""Invariants of orders, and that the rows of the books belong together."""

from __future__ import annotations

from livedrop.stock.invariants.invariant import Invariant

ORDERS = [
    Invariant(
        "one_order_per_key",
        "a buyer's idempotency key made at most one order of a drop",
        """
SELECT count(*) > 1 AS broken,
    format('drop %s buyer %s: %s orders under the key %s', drop_id, user_id, count(*), idempotency_key) AS offender
FROM orders WHERE $1::uuid IS NULL OR drop_id = $1
GROUP BY drop_id, user_id, idempotency_key
""",
    ),
    Invariant(
        "order_totals",
        "an order's total is quantity × price of its lot, in the lot's currency",
        """
SELECT (o.unit_price_minor, o.total_minor, o.currency)
        IS DISTINCT FROM (l.unit_price_minor, l.unit_price_minor * o.quantity, l.currency) AS broken,
    format('order %s: %s × %s = %s %s, its lot asks %s %s', o.id, o.quantity, o.unit_price_minor, o.total_minor,
        o.currency, l.unit_price_minor, l.currency) AS offender
FROM orders o JOIN lots l USING (drop_id, variant_id)
WHERE $1::uuid IS NULL OR drop_id = $1
""",
    ),
    Invariant(
        "orders_counted",
        "a drop's head counts the orders ever placed",
        """
SELECT h.orders_placed <> coalesce(placed.orders, 0) AS broken,
    format('drop %s: counted %s, there are %s', h.drop_id, h.orders_placed, coalesce(placed.orders, 0)) AS offender
FROM drop_heads h LEFT JOIN (
    SELECT drop_id, count(*) AS orders FROM orders WHERE $1::uuid IS NULL OR drop_id = $1 GROUP BY drop_id
) AS placed USING (drop_id)
WHERE $1::uuid IS NULL OR h.drop_id = $1
""",
    ),
    Invariant(
        "references_exist",
        "heads, lots, orders, payments and facts belong to each other, and orders to users",
        """
SELECT h.drop_id IS NULL OR d.id IS NULL
        OR (h.creator_id, h.product_id) IS DISTINCT FROM (d.creator_id, d.product_id) AS broken,
    format('drop %s: head and drop differ', coalesce(h.drop_id, d.id)) AS offender
FROM drop_heads h FULL JOIN drops d ON d.id = h.drop_id
WHERE $1::uuid IS NULL OR h.drop_id = $1 OR d.id = $1
UNION ALL
SELECT h.drop_id IS NULL, format('lot of drop %s, variant %s: no head', l.drop_id, l.variant_id)
FROM lots l LEFT JOIN drop_heads h USING (drop_id)
WHERE $1::uuid IS NULL OR l.drop_id = $1
UNION ALL
SELECT l.drop_id IS NULL OR u.id IS NULL OR (o.payment_id IS NOT NULL AND p.id IS NULL)
        OR (o.creator_id, o.product_id) IS DISTINCT FROM (h.creator_id, h.product_id),
    format('order %s: head %s, lot %s, buyer %s, payment %s', o.id, h.drop_id, l.variant_id, u.id, p.id)
FROM orders o
    LEFT JOIN drop_heads h ON h.drop_id = o.drop_id
    LEFT JOIN lots l ON l.drop_id = o.drop_id AND l.variant_id = o.variant_id
    LEFT JOIN users u ON u.id = o.user_id
    LEFT JOIN payments p ON p.drop_id = o.drop_id AND p.id = o.payment_id AND p.order_id = o.id
WHERE $1::uuid IS NULL OR o.drop_id = $1
UNION ALL
SELECT o.id IS NULL, format('payment %s: no order %s', p.id, p.order_id)
FROM payments p LEFT JOIN orders o ON o.drop_id = p.drop_id AND o.id = p.order_id
WHERE $1::uuid IS NULL OR p.drop_id = $1
UNION ALL
SELECT f.creator_id IS DISTINCT FROM h.creator_id, format('facts %s of drop %s: no such head', f.seq_first, f.drop_id)
FROM facts f LEFT JOIN drop_heads h USING (drop_id)
WHERE $1::uuid IS NULL OR f.drop_id = $1
""",
    ),
]
