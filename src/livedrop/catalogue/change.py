"""A creator changes a product. Drops that are scheduled already keep what they copied."""

from __future__ import annotations

from uuid import UUID

from msgspec import UNSET

from livedrop import events
from livedrop.catalogue import rules, store
from livedrop.catalogue.product import Product, ProductChange
from livedrop.kit import facts
from livedrop.kit.database import Connection
from livedrop.kit.refusals import NotFound


async def change(tx: Connection, user_id: UUID, product_id: UUID, body: ProductChange) -> Product:
    """The product after the change; one that changes nothing writes nothing.

    Raises `NotFound`, `Forbidden` for who is not its creator, `ProductArchived`, `InvalidFields`, `SkuTaken`.
    """
    await store.lock_catalogue(tx, user_id)
    present = await store.lock_and_read(tx, product_id, share=False)
    if present is None:
        raise NotFound
    rules.require_owner(present, user_id)
    rules.require_changeable(present)
    details = rules.details_after(present.details, body)
    variants = present.variants if body.variants is UNSET else rules.variants_after(present.variants, body.variants)
    if (details, variants) == (present.details, present.variants):
        return present
    await store.update(tx, product_id, details, rules.searched_text(details))
    if variants != present.variants:
        await store.require_free_skus(tx, user_id, product_id, variants)
        await store.write_variants(tx, product_id, user_id, variants)
    await facts.append(
        tx, user_id, events.ProductUpdated(product_id=product_id, creator_id=user_id, title=details.title)
    )
    after = await store.product(tx, product_id)
    assert after is not None, "what is locked can be read"
    return after
