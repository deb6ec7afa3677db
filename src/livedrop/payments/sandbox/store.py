"""The sandbox's statements: `charges` are kept for good, `events` until they are delivered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

import msgspec

from livedrop.kit.database import Connection, Database, Record
from livedrop.payments.provider import Captured, Charge, Declined, PaymentEvent, Refunded, Voided
from livedrop.payments.sandbox.rules import Charged, Delays, card_of, outcome_of, webhook_delays_seconds

EVENT_KEPT_DAYS = 3

_DECIDE = """
WITH made AS (
    INSERT INTO sandbox.charges (
        payment_id, drop_id, order_id, amount_minor, currency, method, status, reason, captured_minor
    )
    SELECT asked.*, CASE asked.status WHEN 'captured' THEN asked.amount_minor ELSE 0 END
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[]
    ) AS asked (payment_id, drop_id, order_id, amount_minor, currency, method, status, reason)
    ORDER BY asked.payment_id
    ON CONFLICT (payment_id) DO NOTHING
    RETURNING payment_id, drop_id, order_id, status, reason
), told AS (
    INSERT INTO sandbox.events (payment_id, drop_id, order_id, status, reason, due_at)
    SELECT made.*, clock_timestamp() + make_interval(secs => webhook.delay_seconds)
    FROM made JOIN unnest($9::uuid[], $10::float8[]) AS webhook (payment_id, delay_seconds) USING (payment_id)
)
SELECT payment_id FROM made
"""

_FIND = """
SELECT payment_id, drop_id, order_id, amount_minor, currency, method, status, reason
FROM sandbox.charges WHERE payment_id = ANY($1::uuid[])
"""

_VOID = """
INSERT INTO sandbox.charges (payment_id, status, reason) VALUES ($1, 'voided', 'voided')
ON CONFLICT (payment_id) DO NOTHING
"""

_REFUND = """
WITH made AS (
    UPDATE sandbox.charges
    SET status = 'refunded', refunded_minor = captured_minor, updated_at = clock_timestamp()
    WHERE payment_id = $1 AND status = 'captured'
    RETURNING payment_id, drop_id, order_id, status, reason
)
INSERT INTO sandbox.events (payment_id, drop_id, order_id, status, reason, due_at)
SELECT made.*, clock_timestamp() + make_interval(secs => $2::float8) FROM made
"""

_DUE = """
SELECT id, payment_id, drop_id, order_id, status, reason FROM sandbox.events
WHERE due_at <= statement_timestamp() ORDER BY due_at LIMIT $1
"""

_SECONDS_UNTIL_DUE = """
SELECT extract(epoch FROM due_at - clock_timestamp())::float8 FROM sandbox.events ORDER BY due_at LIMIT 1
"""

_DELIVERED = "DELETE FROM sandbox.events WHERE id = ANY($1::bigint[])"

_GIVE_UP = """
DELETE FROM sandbox.events
WHERE id = ANY($1::bigint[]) AND created_at < clock_timestamp() - make_interval(days => $2)
"""

_POSTPONE = """
UPDATE sandbox.events
SET attempts = attempts + 1,
    due_at = clock_timestamp()
        + make_interval(secs => least($2::float8 * power(2, least(attempts, 30)), $3::float8) * (0.5 + random()))
WHERE id = ANY($1::bigint[])
"""


async def decide(connection: Connection, proposed: Sequence[Charged], delays: Delays) -> set[UUID]:
    """Records those of `proposed` whose ids are new, with their webhooks, in one commit; returns their ids.

    The ids must differ from each other.
    """
    charges = [one.charge for one in proposed if one.charge is not None]
    webhooks = [
        (charge.payment_id, delay_seconds)
        for charge in charges
        for delay_seconds in webhook_delays_seconds(card_of(charge.method), delays)
    ]
    rows = await connection.fetch(
        _DECIDE,
        [charge.payment_id for charge in charges],
        [charge.drop_id for charge in charges],
        [charge.order_id for charge in charges],
        [charge.amount_minor for charge in charges],
        [charge.currency for charge in charges],
        [charge.method for charge in charges],
        [one.status for one in proposed],
        [one.reason for one in proposed],
        [payment_id for payment_id, _ in webhooks],
        [delay_seconds for _, delay_seconds in webhooks],
    )
    return {row[0] for row in rows}


async def find(connection: Connection, payment_ids: Iterable[UUID]) -> dict[UUID, Charged]:
    rows = await connection.fetch(_FIND, list(payment_ids))
    return {row["payment_id"]: _charged(row) for row in rows}


def _charged(row: Record) -> Charged:
    charge = None
    if row["amount_minor"] is not None:
        charge = Charge(
            payment_id=row["payment_id"],
            drop_id=row["drop_id"],
            order_id=row["order_id"],
            amount_minor=row["amount_minor"],
            currency=row["currency"],
            method=row["method"],
        )
    return Charged(charge=charge, status=row["status"], reason=row["reason"])


async def void(database: Database, payment_id: UUID) -> Captured | Declined | Voided | Refunded:
    """Leaves a tombstone where the id is new; tells what is there otherwise."""
    async with database.connection() as connection:
        await connection.execute(_VOID, payment_id)
        present = (await find(connection, [payment_id]))[payment_id]
    return outcome_of(present.status, present.reason)


async def refund(database: Database, payment_id: UUID, delay_seconds: float) -> Charged | None:
    """Refunds what was captured, once, with its webhook; returns what is recorded now, None where nothing is."""
    async with database.connection() as connection:
        await connection.execute(_REFUND, payment_id, delay_seconds)
        return (await find(connection, [payment_id])).get(payment_id)


class DueEvent(msgspec.Struct, frozen=True):
    id: int
    event: PaymentEvent


async def due_events(database: Database, size_max: int) -> list[DueEvent]:
    rows = await database.fetch(_DUE, size_max)
    return [
        DueEvent(
            row["id"],
            PaymentEvent(
                payment_id=row["payment_id"],
                drop_id=row["drop_id"],
                order_id=row["order_id"],
                outcome=outcome_of(row["status"], row["reason"]),
            ),
        )
        for row in rows
    ]


async def seconds_until_due(database: Database) -> float | None:
    """How long until the next event is due; None where there is none at all."""
    seconds: float | None = await database.fetchval(_SECONDS_UNTIL_DUE)
    return seconds


async def delivered(database: Database, event_ids: list[int]) -> None:
    await database.fetchval(_DELIVERED, event_ids)


async def postpone(database: Database, event_ids: list[int], *, first_seconds: float, longest_seconds: float) -> None:
    """Tries these again later, each time twice as late, with jitter; gives up those older than three days."""
    await database.fetchval(_GIVE_UP, event_ids, EVENT_KEPT_DAYS)
    await database.fetchval(_POSTPONE, event_ids, first_seconds, longest_seconds)
