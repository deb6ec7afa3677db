"""Expiring: reservations whose hold has ended give their units back."""

from __future__ import annotations

import asyncio

from livedrop.kit.database import Database
from livedrop.orders import store
from livedrop.stock import Release, Till

FOUND_AT_ONCE_MAX = 1_000


async def expire_holds(database: Database, till: Till) -> int:
    """Finds reservations whose hold has ended and hands them to the till, which looks again; how many were found."""
    found = await store.holds_ended(database, FOUND_AT_ONCE_MAX)
    await asyncio.gather(
        *(till.settle(Release(drop_id=drop_id, order_id=order_id, cause="expired")) for drop_id, order_id in found)
    )
    return len(found)
