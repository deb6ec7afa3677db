"""How each invariant is broken by hand: its name, in what way, and the statements that do it, and break no other."""

from __future__ import annotations

_TELL_STOCK = """
WITH head AS (UPDATE drop_heads SET seq = seq + 1 WHERE drop_id = {drop} RETURNING *)
INSERT INTO facts SELECT drop_id, seq, seq, creator_id, json_build_array(json_build_object(
    'type', 'stock.changed', 'id', gen_random_uuid(), 'seq', seq, 'version', version,
    'lots', (SELECT json_agg(row_to_json(l)) FROM lots l WHERE l.drop_id = head.drop_id)
)), now() FROM head
"""
_REWRITE = "UPDATE facts SET payload = replace(payload::text, '{was}', '{now}')::json WHERE drop_id = {{drop}}"
_OF = "EXISTS (SELECT FROM orders o WHERE o.status = '{status}' AND payload::text LIKE '%' || o.id || '%')"


def _retell(was: str, now: str, status: str) -> str:
    """Changes a word in the facts of the orders with this status."""
    return _REWRITE.format(was=was, now=now) + f" AND {_OF.format(status=status)}"


_LOT = "WHERE drop_id = {drop} AND position = 0"
_PAYMENT_OF = (
    "drop_id = {{drop}} AND order_id IN (SELECT id FROM orders WHERE status = '{status}' AND total_minor > 0)"
)

UNTOLD = "payload::text NOT LIKE '%stock.changed%'"
"""A row of facts that tells no stock."""

BREACHES: list[tuple[str, str, list[str]]] = [
    (
        "lots_balance",
        "more units than there are",
        [
            "ALTER TABLE lots DROP CONSTRAINT lots_balance",
            f"UPDATE lots SET available = available + 1 {_LOT}",
            _TELL_STOCK,
        ],
    ),
    (
        "lots_balance",
        "negative units",
        [
            "ALTER TABLE lots DROP CONSTRAINT lots_balance, DROP CONSTRAINT lots_total_check",
            f"UPDATE lots SET available = -1, total = reserved + sold - 1 {_LOT}",
            _TELL_STOCK,
        ],
    ),
    (
        "units_sold",
        "a unit that nobody paid",
        [f"UPDATE lots SET sold = sold + 1, available = available - 1 {_LOT}", _TELL_STOCK],
    ),
    (
        "units_reserved",
        "a unit that nobody holds",
        [f"UPDATE lots SET reserved = reserved + 1, available = available - 1 {_LOT}", _TELL_STOCK],
    ),
    (
        "limits_kept",
        "a buyer above the limit",
        ["UPDATE drop_heads SET per_customer_limit = 1 WHERE drop_id = {drop}"],
    ),
    (
        "one_order_per_key",
        "one key, two orders",
        [
            "ALTER TABLE orders DROP CONSTRAINT orders_key",
            "UPDATE orders SET idempotency_key = 'one' WHERE user_id IN"
            " (SELECT user_id FROM orders GROUP BY user_id HAVING count(*) > 1)",
        ],
    ),
    (
        "order_totals",
        "another price than the lot's",
        [f"UPDATE lots SET unit_price_minor = unit_price_minor + 1 {_LOT}"],
    ),
    ("order_totals", "another currency than the lot's", [f"UPDATE lots SET currency = 'USD' {_LOT}"]),
    (
        "order_totals",
        "another total than quantity × price",
        [
            "ALTER TABLE orders DROP CONSTRAINT orders_check",
            "UPDATE orders SET total_minor = 1 WHERE drop_id = {drop} AND status = 'reserved'",
        ],
    ),
    (
        "orders_counted",
        "an order too many",
        ["UPDATE drop_heads SET orders_placed = orders_placed + 1 WHERE drop_id = {drop}"],
    ),
    (
        "references_exist",
        "a buyer who is gone",
        ["DELETE FROM users WHERE id = (SELECT user_id FROM orders WHERE drop_id = {drop} AND status = 'paying')"],
    ),
    ("references_exist", "a drop that is gone", ["DELETE FROM drops WHERE id = {drop}"]),
    (
        "references_exist",
        "a drop without a head",
        ["INSERT INTO drops SELECT gen_random_uuid(), creator_id, product_id, product, search FROM drops LIMIT 1"],
    ),
    (
        "references_exist",
        "an order of a product that is not the drop's",
        ["UPDATE orders SET product_id = gen_random_uuid() WHERE drop_id = {drop} AND status = 'reserved'"],
    ),
    (
        "references_exist",
        "an order whose payment is gone",
        [
            "UPDATE orders SET payment_id = gen_random_uuid()"
            " WHERE drop_id = {drop} AND status = 'failed' AND quantity = 2"
        ],
    ),
    (
        "references_exist",
        "a payment of no order",
        ["UPDATE payments SET order_id = gen_random_uuid() WHERE status = 'declined' AND drop_id = {drop}"],
    ),
    (
        "references_exist",
        "a lot of no drop",
        [
            "INSERT INTO lots SELECT gen_random_uuid(), variant_id, position, sku, name, unit_price_minor, currency,"
            f" 0, 0, 0, 0 FROM lots {_LOT}"
        ],
    ),
    (
        "references_exist",
        "facts of another creator",
        ["UPDATE facts SET creator_id = gen_random_uuid() WHERE drop_id = {drop} AND seq_first = 1"],
    ),
    (
        "one_capture_per_order",
        "paid twice",
        [
            "DROP INDEX payments_one_capture",
            "INSERT INTO payments SELECT gen_random_uuid(), drop_id, order_id, user_id, creator_id, amount_minor,"
            " currency, method, provider, 'refunded', NULL, NULL, NULL, NULL, NULL, now(), now()"
            " FROM payments WHERE status = 'captured' AND drop_id = {drop} LIMIT 1",
        ],
    ),
    (
        "money_balances",
        "money kept of an order that is not paid",
        [f"UPDATE payments SET status = 'captured' WHERE {_PAYMENT_OF.format(status='expired')}"],
    ),
    (
        "payments_fit",
        "another amount than the order's total",
        ["UPDATE payments SET amount_minor = 1 WHERE status = 'declined' AND drop_id = {drop}"],
    ),
    (
        "payments_fit",
        "another buyer than the order's",
        ["UPDATE payments SET user_id = creator_id WHERE status = 'declined' AND drop_id = {drop}"],
    ),
    (
        "paying_has_attempt",
        "an attempt that has ended",
        [f"UPDATE payments SET status = 'declined' WHERE {_PAYMENT_OF.format(status='paying')}"],
    ),
    (
        "paid_has_capture",
        "nobody paid, and somebody else paid as much for nothing",
        [
            "UPDATE payments SET status = 'declined' WHERE id ="
            " (SELECT id FROM payments WHERE status = 'captured' AND drop_id = {drop} LIMIT 1)",
            f"UPDATE payments SET status = 'captured' WHERE {_PAYMENT_OF.format(status='expired')}",
        ],
    ),
    (
        "refunded_has_refund",
        "the money never went back",
        [f"UPDATE payments SET status = 'refund_pending' WHERE {_PAYMENT_OF.format(status='refunded')}"],
    ),
    ("facts_gapless", "a row is gone", ["DELETE FROM facts WHERE payload::text LIKE '%drop.updated%' AND {untold}"]),
    (
        "facts_gapless",
        "a head ahead of its facts",
        ["UPDATE drop_heads SET seq = seq + 1 WHERE drop_id = {drop}"],
    ),
    (
        "facts_gapless",
        "two rows overlap",
        [
            "INSERT INTO facts SELECT drop_id, seq_last, seq_last, creator_id, json_build_array(json_build_object("
            "'type', 'drop.updated', 'id', gen_random_uuid(), 'seq', seq_last)), now() FROM facts"
            " WHERE drop_id = {drop} AND seq_last > seq_first LIMIT 1",
        ],
    ),
    (
        "facts_gapless",
        "a draft that was counted",
        ["UPDATE drop_heads SET seq = 1 WHERE NOT published"],
    ),
    ("facts_in_place", "a wrong seq", [_REWRITE.format(was='"seq":1,', now='"seq":7,') + " AND seq_first = 1"]),
    (
        "facts_in_place",
        "a fact too few",
        [
            "UPDATE facts SET payload = '[]' WHERE payload::text LIKE '%drop.updated%' AND {untold}",
        ],
    ),
    (
        "facts_in_place",
        "no list",
        ["UPDATE facts SET payload = '{{}}' WHERE payload::text LIKE '%drop.updated%' AND {untold}"],
    ),
    (
        "fact_ids_unique",
        "an id twice",
        [
            "UPDATE facts SET payload = json_build_array(json_build_object('type', 'drop.updated', 'id',"
            " (SELECT payload -> 0 ->> 'id' FROM facts WHERE drop_id = {drop} AND seq_first = 1), 'seq', seq_first))"
            " WHERE payload::text LIKE '%drop.updated%' AND {untold}"
        ],
    ),
    ("orders_told", "never told", [_retell("order.reserved", "order.paid", "paid")]),
    ("orders_told", "told twice", [_retell("order.paid", "order.reserved", "refunded")]),
    (
        "orders_told",
        "an order that is not there",
        [
            "UPDATE facts SET payload = json_build_array(json_build_object('type', 'order.reserved', 'id',"
            " gen_random_uuid(), 'seq', seq_first, 'order_id', gen_random_uuid()))"
            " WHERE payload::text LIKE '%drop.updated%' AND {untold}"
        ],
    ),
    ("orders_told", "another quantity", [_retell('"quantity":2', '"quantity":3', "reserved")]),
    ("orders_told", "expired, told as cancelled", [_retell("order.expired", "order.cancelled", "expired")]),
    ("orders_told", "refunded, not told", [_retell("order.refunded", "order.paid", "refunded")]),
    (
        "stock_told",
        "other units than the lot's",
        [f"UPDATE lots SET total = total + 1, available = available + 1 {_LOT}"],
    ),
    ("drop_told", "never scheduled", [_REWRITE.format(was="drop.scheduled", now="drop.updated")]),
    ("drop_told", "scheduled twice", [_REWRITE.format(was="drop.updated", now="drop.scheduled")]),
    ("drop_told", "cancelled in silence", ["UPDATE drop_heads SET cancelled = true WHERE drop_id = {drop}"]),
    ("drop_told", "cancelled in words only", ["UPDATE drop_heads SET cancelled = false WHERE cancelled"]),
]
