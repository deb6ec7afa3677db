"""Looking through products, page by page."""

from __future__ import annotations

from uuid import UUID

import msgspec

from livedrop.catalogue import rules, store
from livedrop.catalogue.product import Product, ProductShown, shown
from livedrop.catalogue.store import Filters, Sort
from livedrop.kit.database import Connection
from livedrop.kit.refusals import Forbidden, InvalidFields, NotFound
from livedrop.kit.words import like_patterns
from livedrop.web.guards import AuthRequired
from livedrop.web.pages import Cursors, Page

_SORT_KEY_SHAPES: dict[Sort, tuple[type, ...]] = {"new": (UUID,), "price": (int, UUID), "-price": (int, UUID)}


async def find(connection: Connection, product_id: UUID) -> Product:
    """The product with this id, archived or not; raises `NotFound`."""
    product = await store.product(connection, product_id)
    if product is None:
        raise NotFound("There is no such product.")
    return product


def filters_of(
    viewer_id: UUID | None,
    creator_id: UUID | None,
    question: str | None,
    tag: str | None,
    price_min: int | None,
    price_max: int | None,
    *,
    archived: bool,
) -> Filters:
    """What a viewer asked for. Archived products are listed for their own creator only.

    Raises `AuthRequired`, `Forbidden`, `InvalidFields`.
    """
    if price_min is not None and price_max is not None and price_min > price_max:
        raise InvalidFields(("min_price", "is above max_price"))
    if archived:
        if viewer_id is None:
            raise AuthRequired("Sign in to see your archived products.")
        if creator_id not in (None, viewer_id):
            raise Forbidden("Archived products are listed for their creator only.")
        creator_id = viewer_id
    return Filters(
        creator_id=creator_id,
        patterns=tuple(like_patterns(question or "")),
        tag=None if tag is None else rules.normal_tag(tag),
        price_min=price_min,
        price_max=price_max,
        archived=archived,
    )


async def browse(
    connection: Connection,
    cursors: Cursors,
    filters: Filters,
    sort: Sort,
    *,
    after: str | None,
    offset: int,
    limit: int,
) -> Page[ProductShown]:
    """One page of products. Raises `BadCursor` for a cursor of another list, other filters or another order."""
    list_name = f"products {sort} {msgspec.json.encode(filters).decode()}"
    start = None if after is None else cursors.read(list_name, after, *_SORT_KEY_SHAPES[sort])
    found = await store.page(connection, filters, sort, start, offset=offset, limit=limit + 1)
    more = len(found) > limit
    products = found[:limit]
    return Page(
        items=[shown(product) for product in products],
        next=cursors.make(list_name, *_sort_key(products[-1], sort)) if more else None,
    )


def _sort_key(product: Product, sort: Sort) -> tuple[int | UUID, ...]:
    return (product.id,) if sort == "new" else (product.details.price_minor, product.id)
