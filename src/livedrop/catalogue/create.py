"""A creator adds a product."""

from __future__ import annotations

from uuid import UUID

from livedrop import events, follows
from livedrop.catalogue import rules, store
from livedrop.catalogue.product import NewProduct, Product
from livedrop.kit import facts
from livedrop.kit.database import Connection
from livedrop.kit.ids import new_id


async def create(tx: Connection, user_id: UUID, body: NewProduct) -> Product:
    """The new product of this creator.

    Raises `Forbidden` for who is no creator, `InvalidFields`, `SkuTaken`.
    """
    await follows.require_creator(tx, user_id)
    product_id = new_id()
    details = rules.details_of(body)
    variants = rules.new_variants(product_id, body.variants)
    await store.lock_catalogue(tx, user_id)
    await store.require_free_skus(tx, user_id, product_id, variants)
    await store.insert(tx, product_id, user_id, details, rules.searched_text(details))
    await store.write_variants(tx, product_id, user_id, variants)
    await facts.append(
        tx, user_id, events.ProductCreated(product_id=product_id, creator_id=user_id, title=details.title)
    )
    made = await store.product(tx, product_id)
    assert made is not None, "what was just written can be read"
    return made
