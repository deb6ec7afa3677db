"""The first tables: accounts, catalogue, drops, the till's books, facts.

Counters that a crowd changes carry no index and leave room on their page, so that updates stay heap-only (HOT).
Every unique constraint of a hot table holds its shard key (`drop_id`), so that the table can be sharded.
There are no foreign keys to rows that a crowd changes: a foreign key takes a lock on the referenced row for
every order. `livedrop audit` checks those references by set instead.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UP = """
CREATE TABLE users (
    id            uuid PRIMARY KEY,
    name          text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    email         text CHECK (char_length(email) <= 254),
    password_hash text,
    dev_handle    text UNIQUE,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((email IS NULL) = (password_hash IS NULL))
);

CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE sessions (
    id               uuid PRIMARY KEY,
    user_id          uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    refresh_digest   bytea CHECK (octet_length(refresh_digest) = 32),
    previous_digest  bytea CHECK (octet_length(previous_digest) = 32),
    sealed_successor bytea CHECK (octet_length(sealed_successor) = 32),
    refreshed_at     timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    access_ends_at   timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    revoked_at       timestamptz
);

CREATE INDEX sessions_user ON sessions (user_id, created_at);

CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE sign_in_failures (
    subject    text PRIMARY KEY,
    failures   integer NOT NULL CHECK (failures > 0),
    window_ends_at timestamptz NOT NULL
);

CREATE INDEX sign_in_failures_expiry ON sign_in_failures (window_ends_at);

CREATE TABLE creators (
    id           uuid PRIMARY KEY REFERENCES users (id),
    handle       text NOT NULL CHECK (char_length(handle) BETWEEN 2 AND 40),
    display_name text NOT NULL CHECK (char_length(display_name) BETWEEN 1 AND 100),
    bio          text,
    avatar_url   text,
    search       text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE UNIQUE INDEX creators_handle ON creators (lower(handle));

CREATE INDEX creators_newest ON creators (created_at, id);

CREATE TABLE products (
    id          uuid PRIMARY KEY,
    creator_id  uuid NOT NULL REFERENCES creators (id),
    title       text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    description text,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency    char(3) NOT NULL,
    image_url   text,
    tags        text[] NOT NULL DEFAULT '{}',
    attributes  jsonb NOT NULL DEFAULT '{}',
    search      text NOT NULL,
    archived    boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX products_creator ON products (creator_id, id DESC);

CREATE INDEX products_price ON products (price_minor, id) WHERE NOT archived;

CREATE INDEX products_tags ON products USING gin (tags) WHERE NOT archived;

CREATE TABLE variants (
    id          uuid PRIMARY KEY,
    product_id  uuid NOT NULL REFERENCES products (id),
    creator_id  uuid NOT NULL REFERENCES creators (id),
    sku         text NOT NULL CHECK (char_length(sku) BETWEEN 1 AND 100),
    name        text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    price_minor bigint CHECK (price_minor >= 0),
    position    integer NOT NULL,
    retired     boolean NOT NULL DEFAULT false,
    archived    boolean NOT NULL DEFAULT false
);

CREATE INDEX variants_product ON variants (product_id, position);

CREATE UNIQUE INDEX variants_sku ON variants (creator_id, lower(sku)) WHERE NOT (retired OR archived);

CREATE TABLE drops (
    id         uuid PRIMARY KEY,
    creator_id uuid NOT NULL REFERENCES creators (id),
    product_id uuid NOT NULL REFERENCES products (id),
    product    json NOT NULL,
    search     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX drops_creator ON drops (creator_id, id DESC);

CREATE TABLE drop_heads (
    drop_id             uuid PRIMARY KEY,
    creator_id          uuid NOT NULL,
    product_id          uuid NOT NULL,
    title               text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    published           boolean NOT NULL,
    starts_at           timestamptz NOT NULL,
    ends_at             timestamptz,
    cancelled           boolean NOT NULL DEFAULT false,
    per_customer_limit  integer CHECK (per_customer_limit > 0),
    hold_seconds        integer NOT NULL CHECK (hold_seconds > 0),
    low_stock_threshold integer NOT NULL CHECK (low_stock_threshold >= 0),
    seq                 bigint NOT NULL DEFAULT 0 CHECK (seq >= 0),
    version             bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    orders_placed       bigint NOT NULL DEFAULT 0 CHECK (orders_placed >= 0),
    CHECK (ends_at > starts_at)
) WITH (fillfactor = 20);

CREATE INDEX drop_heads_starts ON drop_heads (starts_at, drop_id);

CREATE INDEX drop_heads_creator ON drop_heads (creator_id, starts_at, drop_id);

CREATE INDEX drop_heads_cancelled ON drop_heads (drop_id) WHERE cancelled;

CREATE TABLE lots (
    drop_id          uuid NOT NULL,
    variant_id       uuid NOT NULL,
    position         integer NOT NULL,
    sku              text NOT NULL,
    name             text NOT NULL,
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    currency         char(3) NOT NULL,
    total            integer NOT NULL CHECK (total >= 0),
    available        integer NOT NULL,
    reserved         integer NOT NULL DEFAULT 0,
    sold             integer NOT NULL DEFAULT 0,
    PRIMARY KEY (drop_id, variant_id),
    CONSTRAINT lots_balance CHECK (
        available >= 0 AND reserved >= 0 AND sold >= 0 AND available::bigint + reserved + sold = total
    )
) WITH (fillfactor = 20);

CREATE TABLE orders (
    id                uuid NOT NULL,
    drop_id           uuid NOT NULL,
    user_id           uuid NOT NULL,
    creator_id        uuid NOT NULL,
    product_id        uuid NOT NULL,
    variant_id        uuid NOT NULL,
    quantity          integer NOT NULL CHECK (quantity > 0),
    unit_price_minor  bigint NOT NULL CHECK (unit_price_minor >= 0),
    total_minor       bigint NOT NULL,
    currency          char(3) NOT NULL,
    status            text NOT NULL CHECK (
        status IN ('reserved', 'paying', 'paid', 'expired', 'cancelled', 'failed', 'refunded')
    ),
    hold_expires_at   timestamptz NOT NULL,
    payment_id        uuid,
    one_step          boolean NOT NULL,
    cancel_requested  boolean NOT NULL DEFAULT false,
    idempotency_key   text NOT NULL CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    fingerprint       bytea NOT NULL,
    answer_status     smallint,
    answer_at         timestamptz,
    answer_payment_id uuid,
    answer_reason     text,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    PRIMARY KEY (drop_id, id),
    -- What it includes lets the limit per customer be summed up from the index alone.
    CONSTRAINT orders_key UNIQUE (user_id, drop_id, idempotency_key) INCLUDE (quantity, status),
    CHECK (total_minor = quantity * unit_price_minor),
    CHECK (status <> 'paying' OR payment_id IS NOT NULL)
) WITH (fillfactor = 80);

CREATE INDEX orders_id ON orders (id);

CREATE INDEX orders_holds ON orders (hold_expires_at) WHERE status = 'reserved';

CREATE INDEX orders_paid ON orders (drop_id, updated_at) WHERE status = 'paid';

CREATE TABLE payments (
    id              uuid NOT NULL,
    drop_id         uuid NOT NULL,
    order_id        uuid NOT NULL,
    user_id         uuid NOT NULL,
    creator_id      uuid NOT NULL,
    amount_minor    bigint NOT NULL CHECK (amount_minor >= 0),
    currency        char(3) NOT NULL,
    method          text NOT NULL,
    provider        text NOT NULL,
    status          text NOT NULL CHECK (
        status IN ('initiated', 'captured', 'declined', 'voided', 'refund_pending', 'refunded')
    ),
    decline_reason  text,
    idempotency_key text CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    fingerprint     bytea,
    answer_status   smallint,
    answer_at       timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (id, drop_id)
) WITH (fillfactor = 80);

CREATE INDEX payments_order ON payments (drop_id, order_id);

CREATE UNIQUE INDEX payments_one_capture ON payments (drop_id, order_id)
    WHERE status IN ('captured', 'refund_pending', 'refunded');

CREATE UNIQUE INDEX payments_key ON payments (drop_id, order_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

CREATE INDEX payments_open ON payments (updated_at) WHERE status IN ('initiated', 'refund_pending');

CREATE TABLE facts (
    drop_id    uuid NOT NULL,
    seq_first  bigint NOT NULL CHECK (seq_first > 0),
    seq_last   bigint NOT NULL CHECK (seq_last >= seq_first),
    creator_id uuid NOT NULL,
    payload    json NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (drop_id, seq_first)
);

ALTER TABLE facts ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE subject_facts (
    id         uuid PRIMARY KEY,
    subject_id uuid NOT NULL,
    type       text NOT NULL,
    payload    json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE idempotency_keys (
    user_id     uuid NOT NULL,
    operation   text NOT NULL,
    key         text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL,
    status      smallint,
    answer      bytea,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (user_id, operation, key)
);

CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at)
"""

DOWN = """
DROP TABLE idempotency_keys, subject_facts, facts, payments, orders, lots, drop_heads, drops,
    variants, products, creators, sign_in_failures, sessions, users
"""


def upgrade() -> None:
    for statement in UP.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute(DOWN)
