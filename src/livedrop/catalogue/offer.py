"""What a drop takes from the catalogue when it is scheduled."""

from __future__ import annotations

from uuid import UUID

import msgspec

from livedrop.catalogue import store
from livedrop.catalogue.product import ProductShown, shown
from livedrop.kit.database import Connection
from livedrop.kit.refusals import NotFound


class VariantForDrop(msgspec.Struct, frozen=True, kw_only=True):
    """A live variant at the price that it has now."""

    id: UUID
    sku: str
    name: str
    price_minor: int


class ProductForDrop(msgspec.Struct, frozen=True, kw_only=True):
    """A product as a drop copies it: `variants` make its lots, in this order; `shown` is what its page shows."""

    id: UUID
    creator_id: UUID
    archived: bool
    currency: str
    variants: tuple[VariantForDrop, ...]
    shown: ProductShown


async def product_for_drop(connection: Connection, product_id: UUID, *, for_share: bool = False) -> ProductForDrop:
    """The product and the prices of its variants; `for_share` keeps it so until the transaction ends.

    Raises `NotFound`. An archived product is given too; it is the drop that must refuse it (`ProductArchived`).
    """
    if for_share:
        product = await store.lock_and_read(connection, product_id, share=True)
    else:
        product = await store.product(connection, product_id)
    if product is None:
        raise NotFound("There is no such product.")
    details = product.details
    return ProductForDrop(
        id=product.id,
        creator_id=product.creator_id,
        archived=product.archived,
        currency=details.currency,
        variants=tuple(
            VariantForDrop(
                id=variant.id,
                sku=variant.sku,
                name=variant.name,
                price_minor=details.price_minor if variant.price_minor is None else variant.price_minor,
            )
            for variant in product.variants
        ),
        shown=shown(product),
    )
