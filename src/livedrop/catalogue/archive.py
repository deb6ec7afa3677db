"""A creator takes a product out of the catalogue. Whoever bought it can still look at it."""

from __future__ import annotations

from uuid import UUID

from livedrop import events
from livedrop.catalogue import rules, store
from livedrop.catalogue.product import Product
from livedrop.kit import facts
from livedrop.kit.database import Connection
from livedrop.kit.refusals import NotFound


async def archive(tx: Connection, user_id: UUID, product_id: UUID) -> Product:
    """The archived product; doing it again changes nothing. Raises `NotFound`, `Forbidden`."""
    await store.lock_catalogue(tx, user_id)
    present = await store.lock_and_read(tx, product_id, share=False)
    if present is None:
        raise NotFound
    rules.require_owner(present, user_id)
    if present.archived:
        return present
    await store.archive(tx, product_id)
    await facts.append(tx, user_id, events.ProductArchived(product_id=product_id, creator_id=user_id))
    after = await store.product(tx, product_id)
    assert after is not None, "what is locked can be read"
    return after
