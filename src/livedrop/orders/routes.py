"""REST: orders, reservations, payments, and what providers tell us."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.types import ControllerRouterHandler

from livedrop.drops import DropPages, DropShown
from livedrop.kit.refusals import NotFound
from livedrop.orders import store
from livedrop.orders.answers import OrderShown, PaymentShown, show_order, show_payment
from livedrop.orders.bodies import Pay, PayOrder, Purchase
from livedrop.orders.cancel import cancel_order, give_back, refund_order
from livedrop.orders.cancel_drop import cancel_drop
from livedrop.orders.errors import NoSuchOrder, NoSuchPayment
from livedrop.orders.hear import hear
from livedrop.orders.pay import pay_order, purchase
from livedrop.orders.place import Counter
from livedrop.stock import Order
from livedrop.web.guards import Guard
from livedrop.web.idempotency import Key
from livedrop.web.keys import parse_key
from livedrop.web.pages import LIMIT_DEFAULT, LIMIT_MAX, Cursors, Page, offset_of
from livedrop.web.requests import as_response

AnyRequest = Request[Any, Any, Any]
Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)]
PageNumber = Annotated[int | None, QueryParameter(ge=1)]
ReadRows = Callable[[UUID | None, int, int], Awaitable[list[Order]]]

_SIGNED: dict[str, Any] = {"tags": ["orders"], "security": [{"bearer": []}]}
_PAYING: dict[str, Any] = {
    **_SIGNED,
    "status_code": 201,
    "responses": {
        202: ResponseSpec(OrderShown, description="The payment's outcome is not known yet; ask for the order")
    },
}


def routes(counter: Counter, guard: Guard, cursors: Cursors, pages: DropPages) -> list[ControllerRouterHandler]:
    return [
        *_paying(counter, guard),
        *_reading(counter, guard, cursors),
        *_ending(counter, guard, pages),
    ]


def _paying(counter: Counter, guard: Guard) -> list[ControllerRouterHandler]:
    @post("/orders/{order_id:uuid}/pay", summary="Pay a reservation", **_PAYING)
    async def post_pay(
        request: AnyRequest, order_id: FromPath[UUID], data: JSONBody[Pay], idempotency_key: Key = None
    ) -> Response[OrderShown]:
        """Declined (402), the reservation stays until its hold ends."""
        answer = await pay_order(
            counter, guard.of(request).user_id, order_id, data.payment_method, _key(idempotency_key)
        )
        return as_response(answer, OrderShown)

    @post("/payments", summary="Pay a reservation, named in the body", **_PAYING)
    async def post_payment(
        request: AnyRequest, data: JSONBody[PayOrder], idempotency_key: Key = None
    ) -> Response[OrderShown]:
        answer = await pay_order(
            counter, guard.of(request).user_id, data.order_id, data.payment_method, _key(idempotency_key)
        )
        return as_response(answer, OrderShown)

    @post("/drops/{drop_id:uuid}/purchase", summary="Pay one's reservation on a drop", **_PAYING)
    async def post_purchase(
        request: AnyRequest, drop_id: FromPath[UUID], data: JSONBody[Purchase], idempotency_key: Key = None
    ) -> Response[OrderShown]:
        """Without `order_id` it is the oldest live one."""
        answer = await purchase(
            counter,
            guard.of(request).user_id,
            drop_id,
            data.order_id,
            data.payment_method,
            _key(idempotency_key),
        )
        return as_response(answer, OrderShown)

    @post(
        "/payments/webhooks/{provider:str}",
        status_code=204,
        tags=["orders"],
        summary="What a payment provider tells us, signed",
    )
    async def post_webhook(request: AnyRequest, provider: FromPath[str]) -> None:
        if provider != counter.cashier.provider.name:
            raise NotFound("There is no such payment provider here.")
        await hear(
            counter.database, counter.cashier.till, counter.cashier.provider, request.headers, await request.body()
        )

    return [post_pay, post_payment, post_purchase, post_webhook]


def _reading(counter: Counter, guard: Guard, cursors: Cursors) -> list[ControllerRouterHandler]:
    async def page_of(name: str, read: ReadRows, after: str | None, page: int | None, limit: int) -> Page[OrderShown]:
        offset = offset_of(page, after, limit)
        last: UUID | None = None
        if after is not None:
            (last,) = cursors.read(name, after, UUID)
        found = await read(last, limit + 1, offset)
        following = cursors.make(name, found[limit - 1].id) if len(found) > limit else None
        return Page([show_order(order) for order in found[:limit]], following)

    @get("/orders/{order_id:uuid}", summary="An order, for its buyer and its creator", **_SIGNED)
    async def get_order(request: AnyRequest, order_id: FromPath[UUID]) -> OrderShown:
        order = await store.order_of(counter.database, order_id, guard.of(request).user_id)
        if order is None:
            raise NoSuchOrder
        return show_order(order)

    @get("/orders", summary="One's own orders, newest first; a creator's own drop's with drop_id", **_SIGNED)
    async def get_orders(
        request: AnyRequest,
        drop_id: FromQuery[UUID | None] = None,
        limit: Limit = LIMIT_DEFAULT,
        after: FromQuery[str | None] = None,
        page: PageNumber = None,
    ) -> Page[OrderShown]:
        user_id = guard.of(request).user_id
        owner = None if drop_id is None else await store.drop_owner(counter.database, drop_id)

        async def read(last: UUID | None, count: int, offset: int) -> list[Order]:
            if drop_id is not None and owner is not None and owner[0] == user_id:
                return await store.orders_of_drop(counter.database, drop_id, user_id, last, count, offset)
            return await store.own_orders(counter.database, user_id, drop_id, last, count, offset)

        return await page_of(f"orders {user_id} {drop_id}", read, after, page, limit)

    @get("/reservations/me", summary="One's own live reservations", **_SIGNED)
    async def get_reservations(
        request: AnyRequest,
        limit: Limit = LIMIT_DEFAULT,
        after: FromQuery[str | None] = None,
        page: PageNumber = None,
    ) -> Page[OrderShown]:
        user_id = guard.of(request).user_id

        async def read(last: UUID | None, count: int, offset: int) -> list[Order]:
            return await store.own_holds(counter.database, user_id, last, count, offset)

        return await page_of(f"reservations {user_id}", read, after, page, limit)

    @get("/payments/{payment_id:uuid}", summary="A payment, for its buyer and its creator", **_SIGNED)
    async def get_payment(request: AnyRequest, payment_id: FromPath[UUID]) -> PaymentShown:
        payment = await store.payment_of(counter.database, payment_id, guard.of(request).user_id)
        if payment is None:
            raise NoSuchPayment
        return show_payment(payment)

    return [get_order, get_orders, get_reservations, get_payment]


def _ending(counter: Counter, guard: Guard, pages: DropPages) -> list[ControllerRouterHandler]:
    @delete("/reservations/{order_id:uuid}", status_code=200, summary="Give a reservation's units back", **_SIGNED)
    async def delete_reservation(request: AnyRequest, order_id: FromPath[UUID]) -> OrderShown:
        return show_order(await give_back(counter, guard.of(request).user_id, order_id))

    @put("/orders/{order_id:uuid}/cancel", summary="Cancel an order", **_SIGNED)
    async def put_cancel(request: AnyRequest, order_id: FromPath[UUID]) -> OrderShown:
        """The buyer can while it is reserved, the creator at any time: paid orders are refunded."""
        return show_order(await cancel_order(counter, guard.of(request).user_id, order_id))

    @post("/orders/{order_id:uuid}/refund", status_code=200, summary="Refund a whole order", **_SIGNED)
    async def post_refund(request: AnyRequest, order_id: FromPath[UUID]) -> OrderShown:
        """`refunded` once the provider has confirmed it; until then still `paid`, its payment `refund_pending`."""
        return show_order(await refund_order(counter, guard.of(request).user_id, order_id))

    @post("/drops/{drop_id:uuid}/cancel", status_code=200, summary="Cancel a whole drop", **_SIGNED)
    async def post_cancel_drop(request: AnyRequest, drop_id: FromPath[UUID]) -> DropShown:
        """Nothing more is sold from now on; reservations are released and the paid refunded right afterwards."""
        await cancel_drop(counter.database, counter.cashier.till, guard.of(request).user_id, drop_id)
        return await pages.shown(drop_id)

    return [delete_reservation, put_cancel, post_refund, post_cancel_drop]


def _key(header: str | None) -> str | None:
    return None if header is None else parse_key(header.encode("latin-1"))
