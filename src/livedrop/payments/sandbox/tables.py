"""The sandbox's database: a pool and a schema of its own.

The sandbox makes its tables itself when it starts. They are no part of LiveDrop's migrations, because with a real
provider they would lie in somebody else's house: a LiveDrop on Stripe has none, and they may lie in another database.
"""

from __future__ import annotations

from livedrop.kit.database import Database

CONNECTIONS_MAX = 4

# Two sandboxes that start at once would otherwise meet in CREATE … IF NOT EXISTS.
_LOCK = "SELECT pg_advisory_xact_lock(736158646278)"

_TABLES = """
CREATE SCHEMA IF NOT EXISTS sandbox;
CREATE TABLE IF NOT EXISTS sandbox.charges (
    payment_id     uuid PRIMARY KEY,
    drop_id        uuid,
    order_id       uuid,
    amount_minor   bigint CHECK (amount_minor > 0),
    currency       text,
    method         text,
    status         text NOT NULL CHECK (status IN ('captured', 'declined', 'voided', 'refunded')),
    reason         text NOT NULL DEFAULT '',
    captured_minor bigint NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (captured_minor = CASE WHEN status IN ('captured', 'refunded') THEN amount_minor ELSE 0 END),
    CHECK (refunded_minor = CASE WHEN status = 'refunded' THEN captured_minor ELSE 0 END),
    CHECK ((status = 'voided') = (num_nulls(drop_id, order_id, amount_minor, currency, method) = 5)),
    CHECK (status = 'voided' OR num_nulls(drop_id, order_id, amount_minor, currency, method) = 0)
);
CREATE TABLE IF NOT EXISTS sandbox.events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payment_id uuid NOT NULL,
    drop_id    uuid NOT NULL,
    order_id   uuid NOT NULL,
    status     text NOT NULL,
    reason     text NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS events_due ON sandbox.events (due_at);
"""


class SandboxDatabase(Database):
    """The sandbox's own pool. Its charges are durable when they are answered, whatever the database's default is;
    and its plans don't rest on how small the tables were when it started."""

    def __init__(self, url: str) -> None:
        super().__init__(url, connections_max=CONNECTIONS_MAX, application_name="livedrop-sandbox")

    def server_settings(self) -> dict[str, str]:
        return {**super().server_settings(), "synchronous_commit": "on", "enable_seqscan": "off"}


async def create_tables(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(_LOCK)
        await tx.execute(_TABLES)
