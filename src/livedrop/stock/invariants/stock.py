"""Invariants of lots and of what buyers hold."""

from __future__ import annotations

from livedrop.stock.invariants.invariant import Invariant

_UNITS = """
SELECT l.{column} <> coalesce(held.quantity, 0) AS broken,
    format('drop %s variant %s: {column} %s, orders %s', l.drop_id, l.variant_id, l.{column}, held.quantity)
        AS offender
FROM lots l LEFT JOIN (
    SELECT drop_id, variant_id, sum(quantity) AS quantity FROM orders
    WHERE status IN ({statuses}) AND ($1::uuid IS NULL OR drop_id = $1) GROUP BY drop_id, variant_id
) AS held USING (drop_id, variant_id)
WHERE $1::uuid IS NULL OR l.drop_id = $1
"""

STOCK = [
    Invariant(
        "lots_balance",
        "available + reserved + sold = total, and none is negative",
        """
SELECT NOT (available >= 0 AND reserved >= 0 AND sold >= 0 AND available::bigint + reserved + sold = total) AS broken,
    format('drop %s variant %s: %s + %s + %s, total %s', drop_id, variant_id, available, reserved, sold, total)
        AS offender
FROM lots WHERE $1::uuid IS NULL OR drop_id = $1
""",
    ),
    Invariant(
        "units_sold",
        "a lot's sold units are those of its paid orders",
        _UNITS.format(column="sold", statuses="'paid'"),
    ),
    Invariant(
        "units_reserved",
        "a lot's reserved units are those of its reserved and paying orders",
        _UNITS.format(column="reserved", statuses="'reserved', 'paying'"),
    ),
    Invariant(
        "limits_kept",
        "no buyer holds more units of a drop than its limit per customer",
        """
SELECT sum(o.quantity) > min(h.per_customer_limit) AS broken,
    format('drop %s buyer %s: %s units, limit %s', drop_id, o.user_id, sum(o.quantity), min(h.per_customer_limit))
        AS offender
FROM orders o JOIN drop_heads h USING (drop_id)
WHERE h.per_customer_limit IS NOT NULL AND o.status IN ('reserved', 'paying', 'paid')
    AND ($1::uuid IS NULL OR drop_id = $1)
GROUP BY drop_id, o.user_id
""",
    ),
]
