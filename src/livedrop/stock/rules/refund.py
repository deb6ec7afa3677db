"""Refunding: the money first, the units after the provider has confirmed it."""

from __future__ import annotations

from uuid import UUID

from livedrop.events import OrderRefunded
from livedrop.stock.books import Books, Order, Payment
from livedrop.stock.errors import NotRefundable, OrderNotFound
from livedrop.stock.intents import RefundDue
from livedrop.stock.rules.facts import tell_order
from livedrop.stock.rules.reserve import hold


def refund_due(books: Books, order: Order, intent: RefundDue) -> Payment | None:
    """A paid order's payment becomes `refund_pending`; asked twice, it is due once."""
    if intent.by_creator is not None and intent.by_creator != order.creator_id:
        raise OrderNotFound
    if order.status not in ("paid", "refunded"):
        raise NotRefundable(order.status)
    return make_refund_due(books, order)


def make_refund_due(books: Books, order: Order) -> Payment | None:
    """An order that cost nothing is refunded here and now; there is no money to wait for."""
    payment = books.capture_of(order)
    if payment is None:
        if order.status == "paid":
            assert order.total_minor == 0, "a paid order has a capture"
            _bring_back(books, order)
        return None
    if payment.status == "captured":
        payment.status = "refund_pending"
        books.change_payment(payment)
    return payment


def restock(books: Books, order: Order, payment_id: UUID) -> Payment:
    """The money went back: a paid order is `refunded` and its units are available again."""
    payment = books.payment(order, payment_id)
    if payment is None:
        raise OrderNotFound
    if payment.status not in ("refund_pending", "captured"):
        return payment  # said before
    # Money that the provider returned by itself is as good as money that we asked back.
    payment.status = "refunded"
    books.change_payment(payment)
    if order.status == "paid":
        _bring_back(books, order)
    return payment


def _bring_back(books: Books, order: Order) -> None:
    lot = books.lots[order.drop_id][order.variant_id]
    lot.sold -= order.quantity
    lot.available += order.quantity
    books.change_lot(lot)
    hold(books, order, -order.quantity)
    order.status = "refunded"
    books.change_order(order)
    tell_order(books, order, OrderRefunded)
