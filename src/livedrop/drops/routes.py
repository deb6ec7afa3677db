"""REST: scheduling drops, changing them, and looking through them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from livedrop.drops.activity import latest_buyers
from livedrop.drops.browse import StatusAsked, browse, filters_of
from livedrop.drops.change import change, publish
from livedrop.drops.drop import BuyerShown, DropChange, DropShown, NewDrop
from livedrop.drops.pages import DropPages
from livedrop.drops.schedule import schedule
from livedrop.kit.database import Connection, Database
from livedrop.stock import Till
from livedrop.web.fields import TEXT
from livedrop.web.guards import Guard
from livedrop.web.idempotency import Key, once
from livedrop.web.pages import LIMIT_DEFAULT, LIMIT_MAX, Cursors, Page, offset_of

AnyRequest = Request[Any, Any, Any]
Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)]
PageNumber = Annotated[int | None, QueryParameter(ge=1)]
Words = Annotated[
    str | None,
    QueryParameter(max_length=200, pattern=TEXT, description="Words that the drop or its product must all hold."),
]

_OWNERS: dict[str, Any] = {"tags": ["drops"], "security": [{"bearer": []}]}


def routes(
    database: Database, guard: Guard, cursors: Cursors, till: Till, pages: DropPages, *, hold_seconds: int
) -> list[ControllerRouterHandler]:
    """`hold_seconds`: for drops that don't say."""
    return [
        *_changing(database, guard, till, pages, hold_seconds),
        *_browsing(database, guard, cursors),
    ]


def _changing(
    database: Database, guard: Guard, till: Till, pages: DropPages, hold_seconds: int
) -> list[ControllerRouterHandler]:
    @post("/drops", status_code=201, summary="Schedule a drop", **_OWNERS)
    async def post_drop(
        request: AnyRequest, data: JSONBody[NewDrop], idempotency_key: Key = None
    ) -> Response[DropShown]:
        """With a start in the past it is live at once; a draft waits for being published."""
        caller = guard.of(request)

        async def work(tx: Connection) -> tuple[int, msgspec.Struct]:
            return 201, await schedule(tx, caller.user_id, data, hold_seconds)

        said = msgspec.to_builtins(data, str_keys=True)
        return await once(database, caller.user_id, "POST /drops", idempotency_key, said, work)

    @post("/drops/{drop_id:uuid}/publish", status_code=200, summary="Publish a draft", **_OWNERS)
    async def post_publish(request: AnyRequest, drop_id: FromPath[UUID]) -> DropShown:
        """It is scheduled from now on, or live at once. Doing it again changes nothing."""
        await publish(database, till, guard.of(request).user_id, drop_id)
        return await pages.shown(drop_id)

    @patch("/drops/{drop_id:uuid}", summary="Change a drop", **_OWNERS)
    async def patch_drop(request: AnyRequest, drop_id: FromPath[UUID], data: JSONBody[DropChange]) -> DropShown:
        """What is left out stays. Once it has started, only a later end and more stock are possible."""
        await change(database, till, guard.of(request).user_id, drop_id, data)
        return await pages.shown(drop_id)

    return [post_drop, post_publish, patch_drop]


def _browsing(database: Database, guard: Guard, cursors: Cursors) -> list[ControllerRouterHandler]:
    @get("/drops", tags=["drops"], summary="Browse drops")
    async def get_drops(
        request: AnyRequest,
        status: FromQuery[StatusAsked | None] = None,
        creator_id: FromQuery[UUID | None] = None,
        q: Words = None,
        limit: Limit = LIMIT_DEFAULT,
        after: FromQuery[str | None] = None,
        page: PageNumber = None,
    ) -> Page[DropShown]:
        """What is scheduled (or `upcoming`, the same) comes soonest first, everything else latest start first.

        `status=draft` lists one's own drafts.
        """
        viewer = guard.of_or_none(request)
        filters = filters_of(None if viewer is None else viewer.user_id, status, creator_id, q)
        offset = offset_of(page, after, limit)
        async with database.connection() as connection:
            return await browse(connection, cursors, filters, after=after, offset=offset, limit=limit)

    @get("/drops/live", tags=["drops"], summary="Browse drops that sell now")
    async def get_live_drops(
        request: AnyRequest,
        creator_id: FromQuery[UUID | None] = None,
        q: Words = None,
        limit: Limit = LIMIT_DEFAULT,
        after: FromQuery[str | None] = None,
        page: PageNumber = None,
    ) -> Page[DropShown]:
        """The same as `GET /drops?status=live`."""
        guard.of_or_none(request)
        offset = offset_of(page, after, limit)
        filters = filters_of(None, "live", creator_id, q)
        async with database.connection() as connection:
            return await browse(connection, cursors, filters, after=after, offset=offset, limit=limit)

    @get("/drops/{drop_id:uuid}/activity", tags=["drops"], summary="A drop's latest buyers")
    async def get_activity(request: AnyRequest, drop_id: FromPath[UUID]) -> list[BuyerShown]:
        """The ten latest paid orders, newest first."""
        viewer = guard.of_or_none(request)
        async with database.connection() as connection:
            return await latest_buyers(connection, drop_id, None if viewer is None else viewer.user_id)

    return [get_drops, get_live_drops, get_activity]
