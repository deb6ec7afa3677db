"""Showing who bought last."""

from __future__ import annotations

from uuid import UUID

from livedrop.drops import rules, store
from livedrop.drops.drop import BuyerShown
from livedrop.kit.clock import rfc3339
from livedrop.kit.database import Connection
from livedrop.stock.errors import DropNotFound

BUYERS_SHOWN = 10


async def latest_buyers(connection: Connection, drop_id: UUID, viewer_id: UUID | None) -> list[BuyerShown]:
    """Who bought last, newest first; raises `DropNotFound`, for strangers to a draft too."""
    standing = await store.standing(connection, drop_id)
    if standing is None:
        raise DropNotFound
    rules.require_visible(standing.creator_id, standing.published, viewer_id)
    buyers = await store.latest_buyers(connection, drop_id, BUYERS_SHOWN)
    return [BuyerShown(name=name, quantity=quantity, at=rfc3339(at)) for name, quantity, at in buyers]
