"""Invariants of facts. They are read as text, so that a malformed one is a breach and not an error."""

from __future__ import annotations

from livedrop.stock.invariants.invariant import Invariant

# Each fact, with the `seq` that its place gives it.
_TOLD = """
SELECT f.drop_id, f.seq_first + t.place - 1 AS seq, t.id, t.type, t.order_id, t.user_id, t.variant_id, t.quantity
FROM facts f CROSS JOIN LATERAL ROWS FROM (
    json_to_recordset(CASE json_typeof(f.payload) WHEN 'array' THEN f.payload ELSE '[]' END)
        AS (id text, type text, order_id text, user_id text, variant_id text, quantity text)
) WITH ORDINALITY AS t (id, type, order_id, user_id, variant_id, quantity, place)
WHERE ($1::uuid IS NULL OR f.drop_id = $1)
"""

_ORDERS_TOLD = f"""
SELECT drop_id, order_id, count(*) FILTER (WHERE type = 'order.reserved') AS reserved,
    min(concat_ws(' ', user_id, variant_id, quantity)) AS least_words,
    max(concat_ws(' ', user_id, variant_id, quantity)) AS greatest_words,
    substr(max(lpad(seq::text, 19, '0') || type), 20) AS last_type
FROM ({_TOLD}) AS told WHERE type LIKE 'order.%' GROUP BY drop_id, order_id
"""

FACTS = [
    Invariant(
        "facts_gapless",
        "the seqs of a published drop's facts run from 1 to its head's without gap or overlap; a draft has none",
        """
SELECT f.seq_first <> lag(f.seq_last, 1, 0::bigint) OVER (PARTITION BY f.drop_id ORDER BY f.seq_first) + 1 AS broken,
    format('drop %s: facts %s to %s do not follow', f.drop_id, f.seq_first, f.seq_last) AS offender
FROM facts f WHERE $1::uuid IS NULL OR f.drop_id = $1
UNION ALL
SELECT h.seq <> coalesce((SELECT max(f.seq_last) FROM facts f WHERE f.drop_id = h.drop_id), 0)
        OR h.published <> (h.seq > 0),
    format('drop %s: its head says %s', h.drop_id, h.seq)
FROM drop_heads h WHERE $1::uuid IS NULL OR h.drop_id = $1
""",
    ),
    Invariant(
        "facts_in_place",
        "a row of facts holds one fact for each seq of its range, in order",
        """
SELECT counted.facts IS DISTINCT FROM f.seq_last - f.seq_first + 1 OR NOT counted.in_place AS broken,
    format('drop %s: facts %s to %s', f.drop_id, f.seq_first, f.seq_last) AS offender
FROM facts f CROSS JOIN LATERAL (
    SELECT count(*) AS facts, bool_and((t.seq = (f.seq_first + t.place - 1)::text) IS TRUE) AS in_place
    FROM ROWS FROM (
        json_to_recordset(CASE json_typeof(f.payload) WHEN 'array' THEN f.payload ELSE '[]' END) AS (seq text)
    ) WITH ORDINALITY AS t (seq, place)
) AS counted
WHERE $1::uuid IS NULL OR f.drop_id = $1
""",
    ),
    Invariant(
        "fact_ids_unique",
        "no two facts bear the same id",
        f"""
SELECT count(*) > 1 OR id IS NULL AS broken, format('fact %s: %s times', id, count(*)) AS offender
FROM ({_TOLD}) AS told GROUP BY id
""",
    ),
    Invariant(
        "orders_told",
        "an order was told as reserved once, its facts name its buyer and units, the last one tells its status",
        f"""
SELECT (told.reserved, told.least_words, told.greatest_words, told.last_type)
        IS DISTINCT FROM (1::bigint, o.words, o.words, o.last_type) AS broken,
    format('order %s: %s; told as reserved %s times, last %s: %s', coalesce(o.id, told.order_id), o.words,
        coalesce(told.reserved, 0), told.last_type, told.least_words) AS offender
FROM (
    SELECT drop_id, id::text, concat_ws(' ', user_id, variant_id, quantity) AS words,
        CASE status WHEN 'paying' THEN 'order.reserved' ELSE 'order.' || status END AS last_type
    FROM orders WHERE $1::uuid IS NULL OR drop_id = $1
) AS o FULL JOIN ({_ORDERS_TOLD}) AS told ON told.drop_id = o.drop_id AND told.order_id = o.id
""",
    ),
    Invariant(
        "stock_told",
        "the last stock that was told of a drop is its stock",
        """
SELECT (
        SELECT count(*) FROM lots l
        WHERE l.drop_id = h.drop_id AND NOT EXISTS (
            SELECT FROM json_to_recordset(last.lots)
                AS t (variant_id text, available text, reserved text, sold text, total text)
            WHERE (t.variant_id, t.available, t.reserved, t.sold, t.total)
                = (l.variant_id::text, l.available::text, l.reserved::text, l.sold::text, l.total::text)
        )
    ) > 0 AS broken,
    format('drop %s: last told %s', h.drop_id, last.lots) AS offender
FROM drop_heads h CROSS JOIN LATERAL (
    SELECT CASE json_typeof(t.fact -> 'lots') WHEN 'array' THEN t.fact -> 'lots' ELSE '[]' END AS lots
    FROM facts f CROSS JOIN LATERAL json_array_elements(
        CASE json_typeof(f.payload) WHEN 'array' THEN f.payload ELSE '[]' END
    ) WITH ORDINALITY AS t (fact, place)
    WHERE f.drop_id = h.drop_id AND t.fact ->> 'type' = 'stock.changed'
    ORDER BY f.seq_first DESC, t.place DESC LIMIT 1
) AS last
WHERE $1::uuid IS NULL OR h.drop_id = $1
""",
    ),
    Invariant(
        "drop_told",
        "a published drop was told as scheduled, first and once, and as cancelled once if it is",
        f"""
SELECT (told.scheduled, told.first, told.cancelled) IS DISTINCT FROM (1::bigint, 1::bigint, h.cancelled::int::bigint)
        AS broken,
    format('drop %s: told as scheduled %s times, first as fact %s, as cancelled %s times', h.drop_id, told.scheduled,
        told.first, told.cancelled) AS offender
FROM drop_heads h LEFT JOIN (
    SELECT drop_id, count(*) FILTER (WHERE type = 'drop.scheduled') AS scheduled,
        min(seq) FILTER (WHERE type = 'drop.scheduled') AS first,
        count(*) FILTER (WHERE type = 'drop.cancelled') AS cancelled
    FROM ({_TOLD} AND f.payload::text LIKE '%"drop.%') AS told GROUP BY drop_id
) AS told USING (drop_id)
WHERE h.published AND ($1::uuid IS NULL OR h.drop_id = $1)
""",
    ),
]
