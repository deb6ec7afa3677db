"""Releasing: units go back, when a hold has ended, a buyer gives up, or a creator calls it off."""

from __future__ import annotations

from typing import Literal

from livedrop.events import OrderCancelled, OrderExpired, OrderFact
from livedrop.stock.books import Books, Order, Payment
from livedrop.stock.errors import AlreadyPaid, OrderClosed, OrderNotFound, PaymentInProgress
from livedrop.stock.intents import Release
from livedrop.stock.rules.facts import tell_order
from livedrop.stock.rules.refund import make_refund_due
from livedrop.stock.rules.reserve import hold


def release(books: Books, order: Order, intent: Release) -> Payment | None:
    """Gives a reservation's units back; what was never or no longer reserved is left alone.

    Cancelling twice is fine. The creator may also cancel what is being paid (the money goes back when it
    arrives) and what is paid (a refund is due).
    """
    if intent.cause == "expired":
        if order.status == "reserved" and books.now >= order.hold_expires_at:
            end_hold(books, order)
        return None
    if intent.by_user is not None:
        _cancel_by_buyer(books, order, intent)
        return None
    if intent.by_creator is not None and intent.by_creator != order.creator_id:
        raise OrderNotFound
    return _cancel_by_creator(books, order, asked=intent.by_creator is not None)


def end_hold(books: Books, order: Order) -> None:
    """Ends a reservation that nobody pays: `cancelled` where it was called off, otherwise `expired`."""
    if order.cancel_requested or books.heads[order.drop_id].cancelled:
        close(books, order, "cancelled", OrderCancelled)
    else:
        close(books, order, "expired", OrderExpired)


def close(
    books: Books, order: Order, status: Literal["expired", "cancelled", "failed"], fact: type[OrderFact]
) -> None:
    """Takes an order out of `reserved` or `paying`, its units back to `available`."""
    assert order.status in ("reserved", "paying"), f"{order.status} holds nothing that could be released"
    lot = books.lots[order.drop_id][order.variant_id]
    lot.reserved -= order.quantity
    lot.available += order.quantity
    books.change_lot(lot)
    hold(books, order, -order.quantity)
    order.status = status
    books.change_order(order)
    tell_order(books, order, fact)


def _cancel_by_buyer(books: Books, order: Order, intent: Release) -> None:
    if order.user_id != intent.by_user:
        raise OrderNotFound
    match order.status:
        case "reserved":
            close(books, order, "cancelled", OrderCancelled)
        case "paying":
            raise PaymentInProgress
        case "paid":
            raise AlreadyPaid
        case "expired" | "failed" | "refunded":
            raise OrderClosed(order.status)
        case "cancelled":
            pass


def _cancel_by_creator(books: Books, order: Order, *, asked: bool) -> Payment | None:
    match order.status:
        case "reserved":
            close(books, order, "cancelled", OrderCancelled)
        case "paying":
            order.cancel_requested = True
            books.change_order(order)
        case "paid":
            return make_refund_due(books, order)
        case "expired" | "failed":
            if asked:
                raise OrderClosed(order.status)
        case "cancelled" | "refunded":
            pass
    return None
