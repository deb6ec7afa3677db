"""Invariants of payments."""

from __future__ import annotations

from livedrop.stock.invariants.invariant import Invariant

_PAYMENT_OF_ORDER = """
SELECT p.id IS NULL AS broken, format('order %s: its payment is %s', o.id, o.payment_id) AS offender
FROM orders o LEFT JOIN payments p
    ON p.drop_id = o.drop_id AND p.order_id = o.id AND p.id = o.payment_id AND p.status IN ({payment_statuses})
WHERE o.status = '{status}' AND ({which}) AND ($1::uuid IS NULL OR o.drop_id = $1)
"""

MONEY = [
    Invariant(
        "one_capture_per_order",
        "at most one payment of an order ever took money",
        """
SELECT count(*) > 1 AS broken, format('order %s: %s captures', order_id, count(*)) AS offender
FROM payments WHERE status IN ('captured', 'refund_pending', 'refunded') AND ($1::uuid IS NULL OR drop_id = $1)
GROUP BY drop_id, order_id
""",
    ),
    Invariant(
        "money_balances",
        "captured − refunded = totals of paid orders + refunds pending on unpaid orders",
        """
SELECT coalesce(money.captured, 0) - coalesce(money.refunded, 0)
        <> coalesce(paid.total, 0) + coalesce(money.due_back, 0) AS broken,
    format('drop %s: captured %s − refunded %s, paid %s + due back %s', h.drop_id, money.captured, money.refunded,
        paid.total, money.due_back) AS offender
FROM drop_heads h LEFT JOIN (
    SELECT p.drop_id,
        sum(p.amount_minor) AS captured,
        sum(p.amount_minor) FILTER (WHERE p.status = 'refunded') AS refunded,
        sum(p.amount_minor) FILTER (WHERE p.status = 'refund_pending' AND o.status IS DISTINCT FROM 'paid')
            AS due_back
    FROM payments p LEFT JOIN orders o ON o.drop_id = p.drop_id AND o.id = p.order_id
    WHERE p.status IN ('captured', 'refund_pending', 'refunded') AND ($1::uuid IS NULL OR p.drop_id = $1)
    GROUP BY p.drop_id
) AS money USING (drop_id) LEFT JOIN (
    SELECT drop_id, sum(total_minor) AS total FROM orders
    WHERE status = 'paid' AND ($1::uuid IS NULL OR drop_id = $1) GROUP BY drop_id
) AS paid USING (drop_id)
WHERE $1::uuid IS NULL OR h.drop_id = $1
""",
    ),
    Invariant(
        "payments_fit",
        "a payment is of its order's buyer and creator, its total and currency",
        """
SELECT (p.user_id, p.creator_id, p.amount_minor, p.currency)
        IS DISTINCT FROM (o.user_id, o.creator_id, o.total_minor, o.currency) AS broken,
    format('payment %s: %s %s, its order %s %s', p.id, p.amount_minor, p.currency, o.total_minor, o.currency)
        AS offender
FROM payments p JOIN orders o ON o.drop_id = p.drop_id AND o.id = p.order_id
WHERE $1::uuid IS NULL OR p.drop_id = $1
""",
    ),
    Invariant(
        "paying_has_attempt",
        "a paying order has its open attempt",
        _PAYMENT_OF_ORDER.format(status="paying", payment_statuses="'initiated'", which="true"),
    ),
    Invariant(
        "paid_has_capture",
        "a paid order that costs something has its capture",
        _PAYMENT_OF_ORDER.format(
            status="paid", payment_statuses="'captured', 'refund_pending'", which="o.total_minor > 0"
        ),
    ),
    Invariant(
        "refunded_has_refund",
        "the money of a refunded order went back",
        _PAYMENT_OF_ORDER.format(status="refunded", payment_statuses="'refunded'", which="o.total_minor > 0"),
    ),
]
