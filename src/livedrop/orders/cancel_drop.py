"""Cancelling a whole drop: nothing more is sold, reservations go back, the paid are refunded."""

from __future__ import annotations

import asyncio
from uuid import UUID

from livedrop.kit.database import Database
from livedrop.kit.refusals import Forbidden
from livedrop.orders import store
from livedrop.stock import CancelDrop, RefundDue, Release, Till
from livedrop.stock.errors import DropNotFound

FOUND_AT_ONCE_MAX = 1_000


async def cancel_drop(database: Database, till: Till, caller: UUID, drop_id: UUID) -> None:
    """Ends the sale at once and for good. Its orders are wound up right afterwards, by `wind_up_cancelled`."""
    owner = await store.drop_owner(database, drop_id)
    if owner is None or (owner[0] != caller and not owner[1]):
        raise DropNotFound
    if owner[0] != caller:
        raise Forbidden("Only its creator can cancel a drop.")
    await till.change(CancelDrop(drop_id=drop_id, creator_id=caller))


async def wind_up_cancelled(database: Database, till: Till) -> int:
    """Releases reservations and makes refunds due on cancelled drops; how many were wound up.

    What is being paid may finish: it is sold and its refund is due in the same commit. The recovery sends the
    refunds to the provider.
    """
    found = await store.left_of_cancelled_drops(database, FOUND_AT_ONCE_MAX)
    settled = await asyncio.gather(
        *(
            till.settle(
                Release(drop_id=drop_id, order_id=order_id, cause="cancelled")
                if status == "reserved"
                else RefundDue(drop_id=drop_id, order_id=order_id)
            )
            for drop_id, order_id, status in found
        ),
        return_exceptions=True,  # an order that changed in between is looked at again in the next round
    )
    return sum(1 for each in settled if not isinstance(each, BaseException))
