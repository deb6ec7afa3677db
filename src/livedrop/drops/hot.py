"""The two routes that a whole crowd reads: a drop's page, and its stock."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import get
from litestar.datastructures import ResponseHeader
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, HeaderParameter

from livedrop.drops import rules
from livedrop.drops.drop import DropShown, StockShown
from livedrop.drops.page import Page
from livedrop.drops.pages import DropPages
from livedrop.kit.refusals import NotFound
from livedrop.stock.errors import DropNotFound
from livedrop.web import etags
from livedrop.web.application import HotRoute
from livedrop.web.guards import Guard
from livedrop.web.requests import Answer, Request


def hot_routes(pages: DropPages, guard: Guard) -> list[HotRoute]:
    """Plain handlers, with the twins that describe them in the OpenAPI document."""

    async def answer_page(request: Request) -> Answer:
        page = pages.at_hand(request.path_ids[0]) or await find(request)
        return answer(request, page, page.body)

    async def answer_stock(request: Request) -> Answer:
        page = pages.at_hand(request.path_ids[0]) or await find(request)
        return answer(request, page, page.stock_body)

    async def find(request: Request) -> Page:
        page = await pages.find(request.path_ids[0])
        if page is not None and page.drop.head.published:
            return page  # the same for everybody, so nobody is asked who they are
        # A bad token is refused before anything is said: it tells drafts from nothing as little as no token does.
        viewer = guard.caller_or_none(request.headers.get(b"authorization"))
        if page is None:
            raise DropNotFound
        head = page.drop.head
        rules.require_visible(head.creator_id, head.published, None if viewer is None else viewer.user_id)
        return page

    def answer(request: Request, page: Page, body: bytes) -> Answer:
        headers = page.headers + pages.time_header()
        known = request.headers.get(b"if-none-match")
        if known is not None and etags.matches(known, page.etag):
            return Answer(b"", 304, headers)
        return Answer(body, 200, headers)

    return [
        HotRoute("GET", "/drops/{id}", answer_page, _describe_page),
        HotRoute("GET", "/drops/{id}/stock", answer_stock, _describe_stock),
    ]


IfNoneMatch = Annotated[
    str | None, HeaderParameter(name="If-None-Match", description="ETags of the answers that you have.")
]


def _said(name: str, value: str, description: str) -> ResponseHeader:
    return ResponseHeader(name=name, value=value, description=description, documentation_only=True, required=True)


_HEADERS = [
    _said("ETag", '"7-live"', "From version and phase."),
    _said(
        "X-Server-Time",
        "2026-01-31T09:00:00.000Z",
        "The database's time: RFC 3339, UTC, milliseconds. Start and end are judged by it.",
    ),
    _said("Cache-Control", "no-cache", "Ask each time, with If-None-Match. A draft's is `private, no-cache`."),
]
_ABOUT: dict[str, Any] = {
    "tags": ["drops"],
    "response_headers": _HEADERS,
    "responses": {304: ResponseSpec(None, description="Not modified: you have it.", generate_examples=False)},
}


@get("/drops/{drop_id:uuid}", summary="A drop's page", **_ABOUT)
async def _describe_page(drop_id: FromPath[UUID], if_none_match: IfNoneMatch = None) -> DropShown:
    """Fresh within 100 ms of any change. A draft is its creator's alone (404)."""
    raise NotFound


@get("/drops/{drop_id:uuid}/stock", summary="A drop's stock", **_ABOUT)
async def _describe_stock(drop_id: FromPath[UUID], if_none_match: IfNoneMatch = None) -> StockShown:
    """Fresh within 100 ms of any change. A draft is its creator's alone (404)."""
    raise NotFound
