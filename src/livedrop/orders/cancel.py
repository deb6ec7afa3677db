"""Cancelling an order, by its buyer while it is reserved, by its creator at any time; and refunding it."""

from __future__ import annotations

from uuid import UUID

from livedrop.kit.refusals import Forbidden
from livedrop.orders import store
from livedrop.orders.errors import NoSuchOrder
from livedrop.orders.place import Counter
from livedrop.stock import Order, RefundDue, Release, Settled


async def cancel_order(counter: Counter, caller: UUID, order_id: UUID) -> Order:
    """The order as it stands afterwards: `cancelled`; `refunded` or still `paid` or `paying` for its creator.

    A creator's cancel of a paid order refunds it; of one that is being paid, it is refunded when the money comes.
    """
    order = await _order(counter, caller, order_id)
    # A creator who bought on the own drop may do what a creator may.
    if order.creator_id == caller:
        release = Release(drop_id=order.drop_id, order_id=order.id, cause="cancelled", by_creator=caller)
    else:
        release = Release(drop_id=order.drop_id, order_id=order.id, cause="cancelled", by_user=caller)
    return await _give_money_back(counter, await counter.cashier.till.settle(release))


async def give_back(counter: Counter, caller: UUID, order_id: UUID) -> Order:
    """One's own reservation, `cancelled`; whoever it was sold by, nothing that is paid is refunded this way."""
    order = await _order(counter, caller, order_id)
    if order.user_id != caller:
        raise NoSuchOrder
    release = Release(drop_id=order.drop_id, order_id=order.id, cause="cancelled", by_user=caller)
    return (await counter.cashier.till.settle(release)).order


async def refund_order(counter: Counter, caller: UUID, order_id: UUID) -> Order:
    """Refunds the whole order; it is `refunded` once the provider has confirmed, until then still `paid`."""
    order = await _order(counter, caller, order_id)
    if order.creator_id != caller:
        raise Forbidden("Only the drop's creator can refund an order.")
    due = RefundDue(drop_id=order.drop_id, order_id=order.id, by_creator=caller)
    return await _give_money_back(counter, await counter.cashier.till.settle(due))


async def _order(counter: Counter, caller: UUID, order_id: UUID) -> Order:
    order = await store.order_of(counter.database, order_id, caller)
    if order is None:
        raise NoSuchOrder
    return order


async def _give_money_back(counter: Counter, settled: Settled) -> Order:
    if settled.payment is None or settled.payment.status != "refund_pending":
        return settled.order
    refunded = await counter.cashier.refund(settled.payment)
    # Without an answer the recovery asks again, until the provider confirms.
    return settled.order if refunded is None else refunded.order
