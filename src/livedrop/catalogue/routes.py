"""REST: products."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from livedrop.catalogue.archive import archive
from livedrop.catalogue.browse import browse, filters_of, find
from livedrop.catalogue.change import change
from livedrop.catalogue.create import create
from livedrop.catalogue.errors import ProductArchived, SkuTaken
from livedrop.catalogue.product import NewProduct, ProductChange, ProductShown, shown
from livedrop.catalogue.store import Sort
from livedrop.follows import CreatorRequired
from livedrop.kit.database import Connection, Database
from livedrop.kit.refusals import Forbidden
from livedrop.web.fields import PRICE_MINOR_MAX, TEXT
from livedrop.web.guards import AuthRequired, Guard
from livedrop.web.idempotency import Key, once
from livedrop.web.pages import LIMIT_DEFAULT, LIMIT_MAX, Cursors, Page, offset_of

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)]
PageNumber = Annotated[int | None, QueryParameter(ge=1)]
Price = Annotated[int | None, QueryParameter(ge=0, le=PRICE_MINOR_MAX, description="In minor units.")]
Words = Annotated[
    str | None,
    QueryParameter(max_length=200, pattern=TEXT, description="Words that title, description or tags must all hold."),
]
TagAsked = Annotated[str | None, QueryParameter(max_length=50, pattern=TEXT)]
Archived = Annotated[
    bool, QueryParameter(description="True: one's own archived products, instead of those on offer.")
]


def routes(database: Database, guard: Guard, cursors: Cursors) -> list[ControllerRouterHandler]:
    @post(
        "/products",
        status_code=201,
        tags=["catalogue"],
        summary="Add a product",
        security=[{"bearer": []}],
        opt={"refuses": (CreatorRequired, SkuTaken)},
    )
    async def post_product(
        request: Request[Any, Any, Any], data: JSONBody[NewProduct], idempotency_key: Key = None
    ) -> Response[ProductShown]:
        """Without variants it gets one, named "Default". A SKU that is taken is refused: `sku_taken`."""
        caller = guard.of(request)

        async def work(tx: Connection) -> tuple[int, msgspec.Struct]:
            return 201, shown(await create(tx, caller.user_id, data))

        return await once(database, caller.user_id, "POST /products", idempotency_key, data, work)

    @get(
        "/products",
        tags=["catalogue"],
        summary="Browse products",
        opt={"refuses": (AuthRequired, Forbidden)},
    )
    async def get_products(
        request: Request[Any, Any, Any],
        creator_id: FromQuery[UUID | None] = None,
        q: Words = None,
        tag: TagAsked = None,
        min_price: Price = None,
        max_price: Price = None,
        archived: Archived = False,
        sort: FromQuery[Sort] = "new",
        limit: Limit = LIMIT_DEFAULT,
        after: FromQuery[str | None] = None,
        page: PageNumber = None,
    ) -> Page[ProductShown]:
        """Filters narrow together. Prices are the products' own; variants may differ."""
        viewer = guard.of_or_none(request)
        filters = filters_of(
            None if viewer is None else viewer.user_id, creator_id, q, tag, min_price, max_price, archived=archived
        )
        offset = offset_of(page, after, limit)
        async with database.connection() as connection:
            return await browse(connection, cursors, filters, sort, after=after, offset=offset, limit=limit)

    @get("/products/{product_id:uuid}", tags=["catalogue"], summary="A product, also after it was archived")
    async def get_product(product_id: FromPath[UUID]) -> ProductShown:
        async with database.connection() as connection:
            return shown(await find(connection, product_id))

    @patch(
        "/products/{product_id:uuid}",
        tags=["catalogue"],
        summary="Change a product",
        security=[{"bearer": []}],
        opt={"refuses": (Forbidden, ProductArchived, SkuTaken)},
    )
    async def patch_product(
        request: Request[Any, Any, Any], product_id: FromPath[UUID], data: JSONBody[ProductChange]
    ) -> ProductShown:
        """What is left out stays. `variants` is the whole new set: with its `id` a variant stays the one it is,
        without one it is new, and those missing are retired. Scheduled drops keep what they copied.
        """
        caller = guard.of(request)
        async with database.transaction() as tx:
            return shown(await change(tx, caller.user_id, product_id, data))

    @delete(
        "/products/{product_id:uuid}",
        status_code=200,
        tags=["catalogue"],
        summary="Archive a product",
        security=[{"bearer": []}],
        opt={"refuses": (Forbidden,)},
    )
    async def delete_product(request: Request[Any, Any, Any], product_id: FromPath[UUID]) -> ProductShown:
        """It leaves the lists and its SKUs are free again; drops that sell it go on. Doing it again is no error."""
        caller = guard.of(request)
        async with database.transaction() as tx:
            return shown(await archive(tx, caller.user_id, product_id))

    return [post_product, get_products, get_product, patch_product, delete_product]
