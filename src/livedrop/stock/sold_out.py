"""Remembering what is sold out, so that a crowd that comes too late doesn't queue at the till.

The memory never answers alone. It holds who has orders on the drop, as read in one snapshot together with the
count of orders ever placed there, and kept up with this process's own batches. A refusal waits for a reading of the
drop that *began after the request came* (one small SELECT for all that wait): if the count is still the same and
nothing is available, then no process has sold to this buyer in between, and the till would refuse too (at times
with another reason that holds as well, such as the limit). In every other case the till is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

import msgspec
import structlog

from livedrop.kit.batches import Batcher
from livedrop.kit.database import Database
from livedrop.stock.books import Books, Head

log = structlog.get_logger("livedrop.sold_out")

DROPS_MAX = 256
BUYERS_MAX = 200_000
ASKED_AT_ONCE_MAX = 512
ASKED_WAITING_MAX = 16_384
# Other processes may sell units that come back again and again; the buyers are not read anew for each.
READ_ANEW_AFTER_SECONDS = 1.0
TOO_MANY_SECONDS = 60.0

_NOW = """
SELECT h.drop_id, h.orders_placed,
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
    """Who has orders on a drop, complete for this many orders."""

    orders_placed: int
    buyers: set[UUID]
    variants: frozenset[UUID]
    read_at: float


class _Reading(msgspec.Struct):
    orders_placed: int
    sold_out: bool


class SoldOutMemory:
    """Knows which drops are sold out, and refuses for them what the till would refuse. Bounded."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._drops: dict[UUID, _Memory] = {}
        self._loading: dict[UUID, asyncio.Task[None]] = {}
        self._not_before: dict[UUID, float] = {}  # drops with too many buyers: when to count them again
        self._readings: Batcher[UUID, _Reading | None] = Batcher(
            self._read, batch_size_max=ASKED_AT_ONCE_MAX, queue_max=ASKED_WAITING_MAX, name="sold-out readings"
        )

    def committed(self, books: Books) -> None:
        """Hears of each committed batch: learns its buyers, and which drops have nothing left."""
        new_buyers: dict[UUID, list[UUID]] = {}
        for order in books.new_orders:
            new_buyers.setdefault(order.drop_id, []).append(order.user_id)
        for drop_id, head in books.heads.items():
            if not self._keep_up(head, new_buyers.get(drop_id, [])) and books.available(drop_id) == 0:
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
        if reading is None or not reading.sold_out:
            return False
        if reading.orders_placed != memory.orders_placed:
            self._remember_soon(drop_id)
            return False
        # The batches of this process that were committed meanwhile are in the set by now.
        return user_id not in memory.buyers

    def _keep_up(self, head: Head, new_buyers: list[UUID]) -> bool:
        """Adds a batch's buyers to the memory; False where there is none, or it lacks orders of other processes."""
        memory = self._drops.get(head.drop_id)
        if memory is None:
            return False
        if memory.orders_placed < head.orders_placed:
            if memory.orders_placed + len(new_buyers) != head.orders_placed:
                return False
            memory.buyers.update(new_buyers)
            memory.orders_placed = head.orders_placed
            if len(memory.buyers) > BUYERS_MAX:
                del self._drops[head.drop_id]
        return True

    def _remember_soon(self, drop_id: UUID) -> None:
        memory = self._drops.get(drop_id)
        read_lately = memory is not None and time.monotonic() - memory.read_at < READ_ANEW_AFTER_SECONDS
        too_many = time.monotonic() < self._not_before.get(drop_id, 0.0)
        if drop_id in self._loading or read_lately or too_many or len(self._loading) >= DROPS_MAX:
            return
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
            while len(self._not_before) >= DROPS_MAX:
                del self._not_before[next(iter(self._not_before))]
            self._not_before[drop_id] = time.monotonic() + TOO_MANY_SECONDS
            return
        self._drops.pop(drop_id, None)
        while self._drops and (len(self._drops) >= DROPS_MAX or self._buyers() + len(row[1]) > BUYERS_MAX):
            del self._drops[next(iter(self._drops))]  # the one that was read longest ago
        self._drops[drop_id] = _Memory(row[0], set(row[1]), frozenset(row[2]), time.monotonic())

    def _buyers(self) -> int:
        return sum(len(memory.buyers) for memory in self._drops.values())

    async def _read(self, drop_ids: Sequence[UUID]) -> list[_Reading | None]:
        rows = await self._database.fetch(_NOW, list(set(drop_ids)))
        readings = {row[0]: _Reading(row[1], row[2]) for row in rows}
        return [readings.get(drop_id) for drop_id in drop_ids]
