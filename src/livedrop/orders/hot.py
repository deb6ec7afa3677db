"""The two routes that a whole crowd calls in the same second: place an order, reserve."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from livedrop.orders.answers import OrderShown
from livedrop.orders.bodies import PlaceOrder, ReserveUnits
from livedrop.orders.place import Counter, place_order, reserve
from livedrop.web.application import HotRoute
from livedrop.web.guards import Guard
from livedrop.web.idempotency import RequiredKey
from livedrop.web.keys import KeyInvalid, parse_key
from livedrop.web.requests import Answer, Request, decode

_PLACE = msgspec.json.Decoder(PlaceOrder)
_RESERVE = msgspec.json.Decoder(ReserveUnits)

_LATER = {202: ResponseSpec(OrderShown, description="The payment's outcome is not known yet; ask for the order")}


def hot_routes(counter: Counter, guard: Guard) -> list[HotRoute]:
    """Plain handlers, with the twins that describe them in the OpenAPI document."""

    async def answer_place(request: Request) -> Answer:
        caller = guard.caller(request.headers.get(b"authorization"))
        key = _key(request)
        return await place_order(counter, caller.user_id, key, decode(_PLACE, request.body))

    async def answer_reserve(request: Request) -> Answer:
        caller = guard.caller(request.headers.get(b"authorization"))
        key = _key(request)
        drop_id = request.path_id()
        return await reserve(counter, caller.user_id, key, drop_id, decode(_RESERVE, request.body or b"{}"))

    return [
        HotRoute("POST", "/orders", answer_place, _describe_place),
        HotRoute("POST", "/drops/{id}/reserve", answer_reserve, _describe_reserve),
    ]


def _key(request: Request) -> str:
    if b"idempotency-key" in request.repeated:
        raise KeyInvalid("Send one Idempotency-Key, not several.")
    return parse_key(request.headers.get(b"idempotency-key"))


_ABOUT: dict[str, Any] = {"tags": ["orders"], "security": [{"bearer": []}], "responses": _LATER}


@post("/orders", status_code=201, summary="Place an order", **_ABOUT)
async def _describe_place(data: JSONBody[PlaceOrder], idempotency_key: RequiredKey) -> OrderShown:
    """Reserves units, and pays them where `payment_method` is given. A retry under the same Idempotency-Key gets
    the first answer again, with `Idempotent-Replayed: true`.
    """
    raise AssertionError("described here, answered by the hot route")


@post("/drops/{drop_id:uuid}/reserve", status_code=201, summary="Reserve units of a drop", **_ABOUT)
async def _describe_reserve(
    drop_id: FromPath[UUID], data: JSONBody[ReserveUnits], idempotency_key: RequiredKey
) -> OrderShown:
    """The units are held until `hold_expires_at`; pay before."""
    raise AssertionError("described here, answered by the hot route")
