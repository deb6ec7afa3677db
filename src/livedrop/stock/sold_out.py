"""Remembering what is sold out, so that a crowd that comes too late doesn't queue at the till.

The memory never answers alone. It holds who has orders on the drop, as read in one snapshot together with the
count of orders ever placed there. A refusal waits for a reading of the drop that *began after the request came*
(one small SELECT for all that wait): if the count is still the same and nothing is available, then no process
has sold to this buyer in between, and "sold out" is what the till would say. In every other case the till is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from livedrop.kit.batches import Batcher
from livedrop.kit.database import Database
from livedrop.stock.books import Books

log = structlog.get_logger("livedrop.sold_out")

DROPS_MAX = 256
BUYERS_MAX = 200_000
ASKED_AT_ONCE_MAX = 512
ASKED_WAITING_MAX = 16_384

_NOW = """
SELECT h.drop_id, h.orders_placed, clock_timestamp(),
    h.published AND NOT h.cancelled
        AND clock_timestamp() >= h.starts_at AND (h.ends_at IS NULL OR clock_timestamp() < h.ends_at)
        AND NOT EXISTS (SELECT FROM lots l WHERE l.drop_id = h.drop_id AND l.available > 0)
FROM drop_heads h WHERE h.drop_id = ANY ($1)
"""
_BUYERS = """
SELECT h.orders_placed,
    ARRAY(SELECT DISTINCT o.user_id FROM orders o WHERE o.drop_id = h.drop_id LIMIT $2),
    ARRAY(SELECT l.variant_id FROM lots l WHERE l.drop_id = h.drop_id)
FROM drop_heads h WHERE h.drop_id = $1
"""


class _Memory(msgspec.Struct):
    orders_placed: int
    buyers: frozenset[UUID]
    variants: frozenset[UUID]


class _Reading(msgspec.Struct):
    orders_placed: int
    now: datetime
    sold_out: bool


class SoldOutMemory:
    """Knows which drops are sold out, and refuses for them what the till would refuse. Bounded."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._drops: dict[UUID, _Memory] = {}
        self._loading: dict[UUID, asyncio.Task[None]] = {}
        self._readings: Batcher[UUID, _Reading | None] = Batcher(
            self._read, batch_size_max=ASKED_AT_ONCE_MAX, queue_max=ASKED_WAITING_MAX, name="sold-out readings"
        )

    def committed(self, books: Books) -> None:
        """Hears of each committed batch: remembers drops that have nothing left, forgets those that have again."""
        for drop_id, head in books.heads.items():
            if books.available(drop_id) > 0:
                self._drops.pop(drop_id, None)
            elif head.published and drop_id not in self._drops and drop_id not in self._loading:
                self._remember_soon(drop_id)

    async def refuses(self, drop_id: UUID, user_id: UUID, variant_id: UUID | None) -> bool:
        """Whether "sold out" is certain for a new order of this buyer; False sends the request to the till."""
        memory = self._drops.get(drop_id)
        if memory is None or user_id in memory.buyers:
            return False
        if variant_id is None and len(memory.variants) > 1:
            return False
        if variant_id is not None and variant_id not in memory.variants:
            return False
        reading = await self._readings.ask(drop_id)
        if reading is not None and reading.sold_out and reading.orders_placed == memory.orders_placed:
            return True
        if self._drops.get(drop_id) is memory:
            del self._drops[drop_id]
        return False

    def _remember_soon(self, drop_id: UUID) -> None:
        if len(self._loading) < DROPS_MAX:
            task = asyncio.create_task(self._remember(drop_id), name="sold-out buyers")
            self._loading[drop_id] = task
            task.add_done_callback(lambda _: self._loading.pop(drop_id, None))

    async def _remember(self, drop_id: UUID) -> None:
        try:
            row = await self._database.fetchrow(_BUYERS, drop_id, BUYERS_MAX + 1)
        except Exception as error:  # without the memory every request simply goes to the till
            log.info("sold_out_not_remembered", drop_id=str(drop_id), error=repr(error))
            return
        if row is None or len(row[1]) > BUYERS_MAX:
            return
        while len(self._drops) >= DROPS_MAX or self._buyers_remembered() + len(row[1]) > BUYERS_MAX:
            if not self._drops:
                break
            del self._drops[next(iter(self._drops))]
        self._drops[drop_id] = _Memory(row[0], frozenset(row[1]), frozenset(row[2]))

    def _buyers_remembered(self) -> int:
        return sum(len(memory.buyers) for memory in self._drops.values())

    async def _read(self, drop_ids: Sequence[UUID]) -> list[_Reading | None]:
        rows = await self._database.fetch(_NOW, list(set(drop_ids)))
        readings = {row[0]: _Reading(row[1], row[2], row[3]) for row in rows}
        return [readings.get(drop_id) for drop_id in drop_ids]
