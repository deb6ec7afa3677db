"""Paying a reservation; declined, it stays reserved until its hold ends."""

from __future__ import annotations

from uuid import UUID

import msgspec

from livedrop.kit.ids import new_id
from livedrop.kit.refusals import Busy
from livedrop.orders import answers, store
from livedrop.orders.errors import NoSuchOrder, NothingReserved
from livedrop.orders.place import Counter
from livedrop.payments import PaymentUnavailable
from livedrop.stock import Attempt, BeginPayment, Order, Settled
from livedrop.stock.errors import HoldExpired
from livedrop.web.keys import fingerprint
from livedrop.web.requests import Answer


async def pay_order(counter: Counter, user_id: UUID, order_id: UUID, method: str, key: str | None) -> Answer:
    """Pays one's own reservation; with a key, a retry gets the first answer again."""
    order = await store.order_of(counter.database, order_id, user_id)
    if order is None or order.user_id != user_id:
        raise NoSuchOrder
    return await _pay(counter, order, method, key)


async def purchase(
    counter: Counter, user_id: UUID, drop_id: UUID, order_id: UUID | None, method: str, key: str | None
) -> Answer:
    """Pays one's reservation on this drop: the one named, or the oldest live one."""
    if order_id is not None:
        order = await store.order_of(counter.database, order_id, user_id)
        if order is None or order.user_id != user_id or order.drop_id != drop_id:
            raise NoSuchOrder
        return await _pay(counter, order, method, key)
    # A retry means the reservation that its first try paid, which is none any more.
    order = None if key is None else await store.order_paid_by_key(counter.database, drop_id, user_id, key)
    if order is None:
        order = await store.live_hold(counter.database, drop_id, user_id)
    if order is None:
        raise NothingReserved
    return await _pay(counter, order, method, key)


async def _pay(counter: Counter, order: Order, method: str, key: str | None) -> Answer:
    await _check_provider(counter, order, key)
    begun = await counter.cashier.till.settle(
        BeginPayment(
            drop_id=order.drop_id,
            order_id=order.id,
            user_id=order.user_id,
            attempt=Attempt(new_id(), method, counter.cashier.provider.name),
            idempotency_key=key,
            fingerprint=fingerprint("pay", method) if key is not None else None,
        )
    )
    if begun.payment is None:  # it costs nothing
        return Answer(msgspec.json.encode(answers.show_order(begun.order)), 201)
    settled = begun
    if begun.payment.answer_status is None and begun.payment.status == "initiated":
        settled = await counter.cashier.charge(begun.order, begun.payment)
    return _answer(settled, replayed=begun.replayed)


async def _check_provider(counter: Counter, order: Order, key: str | None) -> None:
    """Nothing is stored while paying is impossible; but a retry still gets its first answer."""
    overloaded = counter.cashier.overloaded
    if not overloaded and not counter.cashier.provider.known_down:
        return
    if key is not None and await store.order_paid_by_key(counter.database, order.drop_id, order.user_id, key):
        return
    if overloaded:
        raise Busy
    raise PaymentUnavailable("Your reservation stays until its hold ends; try again in a moment.")


def _answer(settled: Settled, *, replayed: bool) -> Answer:
    assert settled.payment is not None, "a charge is settled with its payment"
    if settled.payment.answer_status is None:
        # The money came too late for the units, and goes back.
        raise HoldExpired("The payment came too late and is given back.")
    return answers.payment_answer(settled.order, settled.payment, replayed=replayed)
