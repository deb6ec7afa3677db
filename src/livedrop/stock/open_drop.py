"""Opening the books of a new drop."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from livedrop.events import DropScheduled
from livedrop.kit.clock import rfc3339, rfc3339_or_none
from livedrop.kit.database import Connection
from livedrop.kit.ids import new_id
from livedrop.stock.books import Head, Lot

_INSERT_HEAD = """
INSERT INTO drop_heads (
    drop_id, creator_id, product_id, title, published, starts_at, ends_at, cancelled, per_customer_limit,
    hold_seconds, low_stock_threshold, seq, version, orders_placed
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""
_INSERT_LOT = """
INSERT INTO lots (
    drop_id, variant_id, position, sku, name, unit_price_minor, currency, total, available, reserved, sold
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_INSERT_FACT = """
INSERT INTO facts (drop_id, seq_first, seq_last, creator_id, payload, created_at) VALUES ($1, 1, 1, $2, $3, $4)
"""


async def open_drop(tx: Connection, head: Head, lots: Sequence[Lot], now: datetime) -> None:
    """Writes a new drop's head and lots in the caller's transaction, and `drop.scheduled` where it is published."""
    head.seq = 1 if head.published else 0
    await tx.execute(_INSERT_HEAD, *msgspec.structs.astuple(head))
    await tx.executemany(_INSERT_LOT, [msgspec.structs.astuple(lot) for lot in lots])
    if head.published:
        fact = DropScheduled(
            id=new_id(),
            seq=1,
            title=head.title,
            starts_at=rfc3339(head.starts_at),
            ends_at=rfc3339_or_none(head.ends_at),
        )
        await tx.execute(_INSERT_FACT, head.drop_id, head.creator_id, msgspec.json.encode([fact]).decode(), now)
