"""Paying a reservation; declined, it stays reserved until its hold ends."""

from __future__ import annotations

from uuid import UUID

from livedrop.kit.ids import new_id
from livedrop.kit.refusals import Busy
from livedrop.orders import answers, store
from livedrop.orders.errors import NoSuchOrder, NothingReserved
from livedrop.orders.place import Counter
from livedrop.payments import PaymentUnavailable
from livedrop.stock import Attempt, BeginPayment, Order, Settled
from livedrop.stock.errors import AlreadyPaid, DropNotFound, HoldExpired
from livedrop.web.keys import KeyReused, fingerprint
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
        if key is not None:
            # The first try may have been committed since; then what is live now is another reservation.
            order = await store.order_paid_by_key(counter.database, drop_id, user_id, key) or order
    if order is None:
        await _check_drop(counter, drop_id, user_id)
        raise NothingReserved
    return await _pay(counter, order, method, key)


async def _check_drop(counter: Counter, drop_id: UUID, user_id: UUID) -> None:
    owner = await store.drop_owner(counter.database, drop_id)
    if owner is None or (owner[0] != user_id and not owner[1]):
        raise DropNotFound


async def _pay(counter: Counter, order: Order, method: str, key: str | None) -> Answer:
    past = None if key is None else await store.order_paid_by_key(counter.database, order.drop_id, order.user_id, key)
    if past is not None and past.id != order.id:
        raise KeyReused
    if past is None and order.total_minor > 0:
        _check_provider(counter)
    begin = BeginPayment(
        drop_id=order.drop_id,
        order_id=order.id,
        user_id=order.user_id,
        attempt=Attempt(new_id(), method, counter.cashier.provider.name),
        idempotency_key=key,
        fingerprint=fingerprint("pay", method) if key is not None else None,
    )
    return await (_pay_nothing(counter, begin) if order.total_minor == 0 else _pay_money(counter, begin))


async def _pay_nothing(counter: Counter, begin: BeginPayment) -> Answer:
    """An order that costs nothing has no payment that could keep a key: whoever sends one is told again what is."""
    try:
        begun = await counter.cashier.till.settle(begin)
    except AlreadyPaid:
        order = await store.order_of(counter.database, begin.order_id, begin.user_id)
        if begin.idempotency_key is None or order is None or order.status != "paid":
            raise
        return answers.free_answer(order, replayed=True)
    return answers.free_answer(begun.order, replayed=False)


async def _pay_money(counter: Counter, begin: BeginPayment) -> Answer:
    begun = settled = await counter.cashier.till.settle(begin)
    assert begun.payment is not None, "an order that costs something is paid by a payment"
    if begun.payment.answer_status is None and begun.payment.status == "initiated":
        settled = await counter.cashier.charge(begun.order, begun.payment)
    return _answer(settled, replayed=begun.replayed)


def _check_provider(counter: Counter) -> None:
    """Nothing is stored while paying is impossible."""
    if counter.cashier.overloaded:
        raise Busy
    if counter.cashier.provider.known_down:
        raise PaymentUnavailable("Your reservation stays until its hold ends; try again in a moment.")


def _answer(settled: Settled, *, replayed: bool) -> Answer:
    assert settled.payment is not None, "a charge is settled with its payment"
    if settled.payment.answer_status is None:
        # Nothing was answered, since nothing was paid by it.
        if settled.order.status in ("paid", "refunded"):
            raise AlreadyPaid("Another payment of this order came first; this one is given back.")
        raise HoldExpired("The payment came too late and is given back.")
    return answers.payment_answer(settled.order, settled.payment, replayed=replayed)
