"""Placing an order: reserve it, pay it where a payment method came with it, answer once and for all."""

from __future__ import annotations

from uuid import UUID

import msgspec

from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.kit.refusals import Busy
from livedrop.orders import answers, store
from livedrop.orders.bodies import PlaceOrder, ReserveUnits
from livedrop.orders.cashier import Cashier
from livedrop.payments import PaymentUnavailable
from livedrop.stock import Attempt, Order, Payment, Reserve, SoldOutMemory
from livedrop.stock.errors import SoldOut
from livedrop.web.keys import fingerprint
from livedrop.web.requests import Answer


class Counter(msgspec.Struct, frozen=True):
    """What it takes to serve a buyer."""

    database: Database
    cashier: Cashier
    sold_out: SoldOutMemory


async def place_order(counter: Counter, user_id: UUID, key: str, body: PlaceOrder) -> Answer:
    """Places one order under this key, at most once; raises the refusal that comes first."""
    if await counter.sold_out.refuses(body.drop_id, user_id, body.variant_id):
        raise SoldOut
    if body.payment_method is not None:
        await _check_provider(counter, body.drop_id, user_id, key)
    return await _settle(
        counter,
        Reserve(
            order_id=new_id(),
            drop_id=body.drop_id,
            user_id=user_id,
            variant_id=body.variant_id,
            quantity=body.quantity,
            idempotency_key=key,
            fingerprint=fingerprint("order", body),
            expected_total_minor=body.expected_total_minor,
            attempt=_attempt(counter, body.payment_method),
            sell_free=True,
        ),
    )


async def reserve(counter: Counter, user_id: UUID, key: str, drop_id: UUID, body: ReserveUnits) -> Answer:
    """Reserves units under this key, at most once; they are held until paid, given back or expired."""
    if await counter.sold_out.refuses(drop_id, user_id, body.variant_id):
        raise SoldOut
    return await _settle(
        counter,
        Reserve(
            order_id=new_id(),
            drop_id=drop_id,
            user_id=user_id,
            variant_id=body.variant_id,
            quantity=body.quantity,
            idempotency_key=key,
            fingerprint=fingerprint("reserve", body),
        ),
    )


async def _settle(counter: Counter, intent: Reserve) -> Answer:
    settled = await counter.cashier.till.reserve(intent)
    order, payment, replayed = settled.order, settled.payment, settled.replayed
    if order.answer_status is None:
        # Not answered yet: this request's own payment, or one that is still running or was cut off by a crash.
        order = (await counter.cashier.charge(order, payment or await _payment(counter, order))).order
    return answers.first_answer(order, replayed=replayed)


async def _check_provider(counter: Counter, drop_id: UUID, user_id: UUID, key: str) -> None:
    """Nothing is stored while paying is impossible; but a retry still gets its first answer."""
    overloaded = counter.cashier.overloaded
    if not overloaded and not counter.cashier.provider.known_down:
        return
    if await store.order_by_key(counter.database, drop_id, user_id, key) is not None:
        return
    if await store.sells_for_money(counter.database, drop_id):
        raise Busy if overloaded else PaymentUnavailable


def _attempt(counter: Counter, method: str | None) -> Attempt | None:
    return None if method is None else Attempt(new_id(), method, counter.cashier.provider.name)


async def _payment(counter: Counter, order: Order) -> Payment:
    assert order.payment_id is not None, "an unanswered order is being paid"
    payment = await store.payment_row(counter.database, order.drop_id, order.payment_id)
    assert payment is not None, "a payment is committed with its order"
    return payment
