"""The till's statements: four round trips a batch (begin and lock, read, write, commit)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast, get_args
from uuid import UUID

import msgspec

from livedrop.kit.database import Connection
from livedrop.stock.books import Books, Head, Lot, Order, Payment
from livedrop.stock.intents import DropIntent, Intent, OrderIntent, Reserve

LOCK_TIMEOUT_MS = 2_000
STATEMENT_TIMEOUT_MS = 8_000

# The settings hold for this transaction only, so that they work behind a pooler too, and whatever defaults a
# user's database has. The plans are pinned because the planner would cache a sequential scan while the orders
# table is empty, and the batch would slow down as it grows. It also caches an unfit index then, since on an empty
# table all seem equal: see `plan_anew`.
_BEGIN_AND_LOCK = f"""
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL synchronous_commit = on;
SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS};
SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS};
SET LOCAL idle_in_transaction_session_timeout = {STATEMENT_TIMEOUT_MS};
SET LOCAL plan_cache_mode = force_generic_plan;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL jit = off;
SELECT FROM drop_heads WHERE drop_id = ANY ('{{%s}}') ORDER BY drop_id FOR UPDATE
"""

_HEAD = ", ".join(f"h.{name}" for name in Head.__struct_fields__)
_LOT = ", ".join(f"l.{name}" for name in Lot.__struct_fields__)
_ORDER = ", ".join(f"o.{name}" for name in Order.__struct_fields__)
_PAYMENT = ", ".join(f"p.{name}" for name in Payment.__struct_fields__)

# Its snapshot is taken after the lock was granted, so nothing that a batch before us committed is missed; the
# clock is read here for the same reason (`now()` would be the time before the wait).
_READ = f"""
SELECT
    clock_timestamp(),
    (SELECT array_agg(ROW({_HEAD})) FROM drop_heads h WHERE h.drop_id = ANY ($1)),
    (SELECT array_agg(ROW({_LOT}) ORDER BY l.drop_id, l.position) FROM lots l WHERE l.drop_id = ANY ($1)),
    (SELECT array_agg(ROW({_ORDER}))
        FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS asked (drop_id, user_id, idempotency_key)
        JOIN orders o USING (user_id, drop_id, idempotency_key)),
    (SELECT array_agg(ROW({_ORDER}))
        FROM unnest($5::uuid[], $6::uuid[]) AS named (drop_id, id)
        JOIN orders o USING (drop_id, id)),
    (SELECT array_agg(ROW(buyer.drop_id, buyer.user_id, holds.quantity))
        FROM (
            SELECT drop_id, user_id FROM unnest($2::uuid[], $3::uuid[]) AS asked (drop_id, user_id)
            UNION
            SELECT o.drop_id, o.user_id
            FROM unnest($5::uuid[], $6::uuid[]) AS named (drop_id, id)
            JOIN orders o USING (drop_id, id)
            WHERE o.status = 'expired'
        ) AS buyer
        JOIN drop_heads h ON h.drop_id = buyer.drop_id AND (h.per_customer_limit IS NOT NULL OR $7)
        CROSS JOIN LATERAL (
            SELECT sum(o.quantity) AS quantity FROM orders o
            WHERE o.drop_id = buyer.drop_id AND o.user_id = buyer.user_id
                AND o.status IN ('reserved', 'paying', 'paid')
        ) AS holds
        WHERE holds.quantity > 0),
    (SELECT array_agg(ROW({_PAYMENT}))
        FROM unnest($5::uuid[], $6::uuid[]) AS named (drop_id, order_id)
        JOIN payments p USING (drop_id, order_id))
"""

# One statement, one round trip. What many orders of a batch share (their lot's columns, the times) is sent once
# and picked by the lot's index.
_WRITE = """
WITH order_rows AS (
    INSERT INTO orders (
        id, drop_id, user_id, creator_id, product_id, variant_id, quantity, unit_price_minor, total_minor, currency,
        hold_expires_at, one_step, idempotency_key, fingerprint, created_at, status, payment_id, cancel_requested,
        answer_status, answer_at, updated_at
    )
    SELECT
        n.id, ($10::uuid[])[n.lot], n.user_id, ($11::uuid[])[n.lot], ($12::uuid[])[n.lot], ($13::uuid[])[n.lot],
        n.quantity, ($14::bigint[])[n.lot], ($14::bigint[])[n.lot] * n.quantity, ($15::text[])[n.lot],
        ($16::timestamptz[])[n.lot], n.payment_id IS NOT NULL OR n.status = 'paid', n.idempotency_key,
        n.fingerprint, $1::timestamptz, n.status, n.payment_id, false, n.answer_status,
        CASE WHEN n.answer_status IS NOT NULL THEN $1::timestamptz END, $1::timestamptz
    FROM unnest(
        $2::uuid[], $3::integer[], $4::uuid[], $5::integer[], $6::text[], $7::bytea[], $8::text[], $9::uuid[],
        $17::smallint[]
    ) AS n (id, lot, user_id, quantity, idempotency_key, fingerprint, status, payment_id, answer_status)
), order_changes AS (
    UPDATE orders o SET
        status = c.status, payment_id = c.payment_id, cancel_requested = c.cancel_requested,
        answer_status = c.answer_status, answer_at = c.answer_at, answer_payment_id = c.answer_payment_id,
        answer_reason = c.answer_reason, updated_at = $1::timestamptz
    FROM unnest(
        $18::uuid[], $19::uuid[], $20::text[], $21::uuid[], $22::boolean[], $23::smallint[], $24::timestamptz[],
        $25::uuid[], $26::text[]
    ) AS c (drop_id, id, status, payment_id, cancel_requested, answer_status, answer_at, answer_payment_id,
        answer_reason)
    WHERE o.drop_id = c.drop_id AND o.id = c.id
), payment_rows AS (
    INSERT INTO payments (
        id, drop_id, order_id, user_id, creator_id, amount_minor, currency, method, provider, idempotency_key,
        fingerprint, created_at, status, updated_at
    )
    SELECT n.*, $1::timestamptz, 'initiated', $1::timestamptz
    FROM unnest(
        $27::uuid[], $28::uuid[], $29::uuid[], $30::uuid[], $31::uuid[], $32::bigint[], $33::text[], $34::text[],
        $35::text[], $36::text[], $37::bytea[]
    ) AS n
), payment_changes AS (
    UPDATE payments p SET
        status = c.status, decline_reason = c.decline_reason, answer_status = c.answer_status,
        answer_at = c.answer_at, updated_at = $1::timestamptz
    FROM unnest($38::uuid[], $39::uuid[], $40::text[], $41::text[], $42::smallint[], $43::timestamptz[])
        AS c (id, drop_id, status, decline_reason, answer_status, answer_at)
    WHERE p.id = c.id AND p.drop_id = c.drop_id
), lot_changes AS (
    UPDATE lots l SET total = c.total, available = c.available, reserved = c.reserved, sold = c.sold
    FROM unnest($44::uuid[], $45::uuid[], $46::integer[], $47::integer[], $48::integer[], $49::integer[])
        AS c (drop_id, variant_id, total, available, reserved, sold)
    WHERE l.drop_id = c.drop_id AND l.variant_id = c.variant_id
), head_changes AS (
    UPDATE drop_heads h SET
        title = c.title, published = c.published, starts_at = c.starts_at, ends_at = c.ends_at,
        cancelled = c.cancelled, per_customer_limit = c.per_customer_limit, hold_seconds = c.hold_seconds,
        low_stock_threshold = c.low_stock_threshold, seq = c.seq, version = c.version,
        orders_placed = c.orders_placed
    FROM unnest(
        $50::uuid[], $51::text[], $52::boolean[], $53::timestamptz[], $54::timestamptz[], $55::boolean[],
        $56::integer[], $57::integer[], $58::integer[], $59::bigint[], $60::bigint[], $61::bigint[]
    ) AS c (drop_id, title, published, starts_at, ends_at, cancelled, per_customer_limit, hold_seconds,
        low_stock_threshold, seq, version, orders_placed)
    WHERE h.drop_id = c.drop_id
)
INSERT INTO facts (drop_id, seq_first, seq_last, creator_id, payload, created_at)
SELECT n.*, $1::timestamptz FROM unnest($62::uuid[], $63::bigint[], $64::bigint[], $65::uuid[], $66::json[]) AS n
"""


async def begin_and_lock(connection: Connection, drop_ids: Sequence[UUID], *, plan_anew: bool = False) -> None:
    """Opens the transaction and waits for the heads, in the order of their ids, so that batches can't deadlock.

    `plan_anew`: forget the connection's plans, which take 3 ms to make; without it they last until autovacuum
    gathers statistics, and may then have been made for tables that were a thousandth of their size.
    """
    begin = _BEGIN_AND_LOCK % ",".join(map(str, drop_ids))
    await connection.execute(f"DISCARD PLANS;{begin}" if plan_anew else begin)


_NOT_ABOUT_AN_ORDER: tuple[type, ...] = (Reserve, *get_args(DropIntent))


async def read(connection: Connection, drop_ids: Sequence[UUID], intents: Sequence[Intent]) -> Books:
    """The books of these drops as the intents need them."""
    reserves = [intent for intent in intents if isinstance(intent, Reserve)]
    named = [cast(OrderIntent, intent) for intent in intents if not isinstance(intent, _NOT_ABOUT_AN_ORDER)]
    # An edit in this batch may set a limit that the reserves behind it must keep.
    limit_may_come = len(reserves) + len(named) < len(intents)
    row = await connection.fetchrow(
        _READ,
        drop_ids,
        [intent.drop_id for intent in reserves],
        [intent.user_id for intent in reserves],
        [intent.idempotency_key for intent in reserves],
        [intent.drop_id for intent in named],
        [intent.order_id for intent in named],
        limit_may_come,
    )
    assert row is not None, "a SELECT without FROM has a row"
    now, heads, lots, by_key, by_name, held, payments = row
    orders = {order[0]: order for order in (*(by_key or ()), *(by_name or ()))}
    return Books(
        now,
        [Head(*head) for head in heads or ()],
        [Lot(*lot) for lot in lots or ()],
        [Order(*order) for order in orders.values()],
        held or [],
        [Payment(*payment) for payment in {payment[0]: payment for payment in payments or ()}.values()],
    )


async def write(connection: Connection, books: Books) -> None:
    """Writes all that the rules changed."""
    await connection.execute(
        _WRITE,
        books.now,
        *_new_orders(books),
        *_columns(
            books.changed_orders.values(),
            "drop_id id status payment_id cancel_requested answer_status answer_at answer_payment_id answer_reason",
        ),
        *_columns(
            books.new_payments.values(),
            "id drop_id order_id user_id creator_id amount_minor currency method provider idempotency_key "
            "fingerprint",
        ),
        *_columns(books.changed_payments.values(), "id drop_id status decline_reason answer_status answer_at"),
        *_columns(books.changed_lots.values(), "drop_id variant_id total available reserved sold"),
        *_columns(
            books.changed_heads.values(),
            "drop_id title published starts_at ends_at cancelled per_customer_limit hold_seconds low_stock_threshold "
            "seq version orders_placed",
        ),
        *_fact_rows(books),
    )


def _columns(rows: Any, names: str) -> list[list[Any]]:
    return [[getattr(row, name) for row in rows] for name in names.split()]


def _new_orders(books: Books) -> tuple[list[Any], ...]:
    """$2…$17: the orders' own columns, and between them what their lots share, by the lot's index (from 1)."""
    indexes: dict[tuple[UUID, UUID], int] = {}
    shared: list[tuple[Any, ...]] = []
    lot_of: list[int] = []
    for order in books.new_orders:
        lot = (order.drop_id, order.variant_id)
        index = indexes.get(lot)
        if index is None:
            index = indexes[lot] = len(indexes) + 1
            shared.append(
                (
                    order.drop_id,
                    order.creator_id,
                    order.product_id,
                    order.variant_id,
                    order.unit_price_minor,
                    order.currency,
                    order.hold_expires_at,
                )
            )
        lot_of.append(index)
    ids, users, quantities, keys, prints, statuses, payment_ids, answers = _columns(
        books.new_orders, "id user_id quantity idempotency_key fingerprint status payment_id answer_status"
    )
    lots = [list(column) for column in zip(*shared, strict=True)] if shared else [[] for _ in range(7)]
    return ids, lot_of, users, quantities, keys, prints, statuses, payment_ids, *lots, answers


def _fact_rows(books: Books) -> tuple[list[Any], ...]:
    told = books.facts
    return (
        list(told),
        [facts[0].seq for facts in told.values()],
        [facts[-1].seq for facts in told.values()],
        [books.heads[drop_id].creator_id for drop_id in told],
        [msgspec.json.encode(facts).decode() for facts in told.values()],
    )
