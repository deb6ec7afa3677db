"""The till's second guard: what the rules would never write, the schema refuses all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from livedrop.kit.database import Database
from livedrop.stock import Settled, Till
from shop import Drop, Shop, begin_payment, decline, sell


@pytest.fixture
async def drop(database: Database) -> AsyncIterator[Drop]:
    """A drop of 10 units with two orders of one buyer: one paid at the second try, one reserved."""
    shop = await Shop(database).open()
    till = Till(database)
    drop = await shop.drop(10)
    (buyer,) = await shop.buyers(1)
    paid: Settled = await till.reserve(drop.reserve(buyer, key="first"))
    await till.settle(decline(await till.settle(begin_payment(paid.order, key="first"))))
    await till.settle(sell(await till.settle(begin_payment(paid.order, key="second"))))
    await till.reserve(drop.reserve(buyer, key="second"))
    yield drop
    await till.close()


@pytest.mark.parametrize(
    "change",
    [
        "available = -1, reserved = reserved + available + 1",
        "reserved = -1, available = available + reserved + 1",
        "sold = -1, available = available + sold + 1",
        "available = available + 1",
        "total = total + 1",
        "reserved = reserved - 1",
        "available = 2147483647, sold = 2147483647",
    ],
)
async def test_a_lot_always_balances(database: Database, drop: Drop, change: str) -> None:
    """Tried by taking `lots_balance` out of the migration: all seven turned red (DID NOT RAISE)."""
    with pytest.raises(asyncpg.CheckViolationError, match="lots_balance"):
        await _execute(database, f"UPDATE lots SET {change} WHERE drop_id = '{drop.id}'")


async def test_a_key_makes_one_order(database: Database, drop: Drop) -> None:
    """Tried by taking `orders_key` out of the migration: red (DID NOT RAISE)."""
    with pytest.raises(asyncpg.UniqueViolationError, match="orders_key"):
        await _execute(database, "UPDATE orders SET idempotency_key = 'first'")


async def test_an_order_is_captured_once(database: Database, drop: Drop) -> None:
    """Tried by making `payments_one_capture` an index that is not unique: red (DID NOT RAISE)."""
    for status in ("captured", "refund_pending", "refunded"):
        with pytest.raises(asyncpg.UniqueViolationError, match="payments_one_capture"):
            await _execute(database, f"UPDATE payments SET status = '{status}'")


async def test_a_key_makes_one_attempt(database: Database, drop: Drop) -> None:
    with pytest.raises(asyncpg.UniqueViolationError, match="payments_key"):
        await _execute(database, "UPDATE payments SET idempotency_key = 'first'")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE orders SET quantity = 0, total_minor = 0",
        "UPDATE orders SET quantity = -1, total_minor = -unit_price_minor",
        "UPDATE orders SET total_minor = 1",
        "UPDATE orders SET status = 'sold'",
        "UPDATE orders SET status = 'paying', payment_id = NULL",
        "UPDATE orders SET idempotency_key = ''",
        "UPDATE payments SET status = 'paid'",
        "UPDATE payments SET amount_minor = -1",
        "UPDATE drop_heads SET ends_at = starts_at",
        "UPDATE drop_heads SET per_customer_limit = 0",
        "UPDATE drop_heads SET hold_seconds = 0",
        "UPDATE facts SET seq_last = seq_first - 1",
    ],
)
async def test_nonsense_is_refused(database: Database, drop: Drop, statement: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await _execute(database, statement)


async def test_a_seq_is_told_once(database: Database, drop: Drop) -> None:
    with pytest.raises(asyncpg.UniqueViolationError, match="facts_pkey"):
        await _execute(database, "INSERT INTO facts SELECT * FROM facts")


async def _execute(database: Database, statement: str) -> None:
    async with database.connection() as connection:
        await connection.execute(statement)
