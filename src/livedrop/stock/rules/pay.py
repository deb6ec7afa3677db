"""Paying: the attempt begins, and its outcome arrives: once, twice, late, or in the wrong order."""

from __future__ import annotations

from uuid import UUID

from livedrop.events import OrderFailed, OrderPaid
from livedrop.stock.books import HOLDING, Books, Order, Payment
from livedrop.stock.errors import (
    AlreadyPaid,
    DropCancelled,
    HoldExpired,
    OrderClosed,
    OrderNotFound,
    PaymentInProgress,
)
from livedrop.stock.intents import BeginPayment, Return
from livedrop.stock.rules.facts import tell_order
from livedrop.stock.rules.release import close, end_hold
from livedrop.stock.rules.reserve import add_attempt, hold
from livedrop.web.keys import KeyReused


def begin(books: Books, order: Order, intent: BeginPayment) -> tuple[Payment | None, bool]:
    """`reserved` → `paying`, with the attempt written down; True where the key had begun it before.

    An order that costs nothing is paid at once, without a payment.
    """
    if order.user_id != intent.user_id:
        raise OrderNotFound
    past = _past_attempt(books, order, intent)
    if past is not None:
        # The same payment id: this very intent was settled before, and only the answer to its COMMIT was lost.
        return past, past.id != intent.attempt.payment_id
    _check_payable(books, order)
    if order.total_minor == 0:
        _sell_units(books, order)
        return None, False
    payment = add_attempt(books, order, intent.attempt, intent.idempotency_key, intent.fingerprint)
    order.status = "paying"
    order.payment_id = payment.id
    books.change_order(order)
    return payment, False


def sell(books: Books, order: Order, payment_id: UUID) -> Payment:
    """The money of this payment is with the provider: the order is `paid`, or the money is due back.

    Sold where the units are held, or, when the reservation had expired, where they can be taken again. On a
    cancelled drop it is sold and the refund is due in the same commit. Said twice, it changes nothing.
    """
    payment = _payment(books, order, payment_id)
    capture = books.capture_of(order)
    if capture is not None:
        if capture is not payment and payment.status in ("declined", "voided"):
            # Another payment paid the order, and this one took money after all: open again, for the recovery to
            # call off.
            payment.status = "initiated"
            books.change_payment(payment)
        return payment
    if order.status in ("reserved", "paying"):
        _sell_units(books, order)
        payment.status = "refund_pending" if _unwanted(books, order) else "captured"
        order.payment_id = payment.id
    elif order.status == "expired" and _can_take_again(books, order):
        lot = books.lots[order.drop_id][order.variant_id]
        lot.available -= order.quantity
        lot.reserved += order.quantity
        hold(books, order, order.quantity)
        _sell_units(books, order)
        payment.status = "captured"
        order.payment_id = payment.id
    else:
        payment.status = "refund_pending"
    books.change_payment(payment)
    _answer(books, order, payment, 201)
    return payment


def give_back(books: Books, order: Order, intent: Return) -> Payment:
    """No money was taken by this payment: `failed` after one step, otherwise `reserved` until the hold ends."""
    payment = _payment(books, order, intent.payment_id)
    if payment.status != "initiated":
        return payment  # said before, or overtaken by the money itself: a late "failed" changes nothing
    payment.status = "voided" if intent.voided else "declined"
    # The first reason stays: it may have been answered, and a retry is answered the same.
    payment.decline_reason = payment.decline_reason or intent.reason
    books.change_payment(payment)
    if order.status == "paying" and order.payment_id == payment.id:
        if order.one_step:
            close(books, order, "failed", OrderFailed)
        else:
            order.status = "reserved"
            books.change_order(order)
            if _unwanted(books, order) or books.now >= order.hold_expires_at:
                end_hold(books, order)
    _answer(books, order, payment, 402, intent.reason)
    return payment


def answer_later(books: Books, order: Order, payment_id: UUID) -> Payment:
    """The asker is told 202, unless the outcome was faster."""
    payment = _payment(books, order, payment_id)
    _answer(books, order, payment, 202)
    return payment


def _past_attempt(books: Books, order: Order, intent: BeginPayment) -> Payment | None:
    for payment in books.payments.get(order.id, ()):
        if payment.id == intent.attempt.payment_id:
            return payment
        if intent.idempotency_key is not None and payment.idempotency_key == intent.idempotency_key:
            if payment.fingerprint != intent.fingerprint:
                raise KeyReused
            return payment
    return None


def _check_payable(books: Books, order: Order) -> None:
    match order.status:
        case "paying":
            raise PaymentInProgress
        case "paid" | "refunded":
            raise AlreadyPaid
        case "expired":
            raise HoldExpired
        case "cancelled" | "failed":
            raise OrderClosed(order.status)
        case "reserved":
            if books.heads[order.drop_id].cancelled:
                raise DropCancelled
            if books.now >= order.hold_expires_at:
                raise HoldExpired


def _payment(books: Books, order: Order, payment_id: UUID) -> Payment:
    payment = books.payment(order, payment_id)
    if payment is None:
        raise OrderNotFound
    return payment


def _unwanted(books: Books, order: Order) -> bool:
    return order.cancel_requested or books.heads[order.drop_id].cancelled


def _can_take_again(books: Books, order: Order) -> bool:
    head = books.heads[order.drop_id]
    held = books.held.get((order.drop_id, order.user_id), 0)
    limit = head.per_customer_limit
    return (
        not head.cancelled
        and books.lots[order.drop_id][order.variant_id].available >= order.quantity
        and (limit is None or held + order.quantity <= limit)
    )


def _sell_units(books: Books, order: Order) -> None:
    lot = books.lots[order.drop_id][order.variant_id]
    lot.reserved -= order.quantity
    lot.sold += order.quantity
    books.change_lot(lot)
    order.status = "paid"
    books.change_order(order)
    tell_order(books, order, OrderPaid)


def _answer(books: Books, order: Order, payment: Payment, status: int, reason: str | None = None) -> None:
    """Writes down, once, what the request that made the order, or this payment, is answered."""
    if status == 201 and order.status not in HOLDING and order.status != "refunded":
        return  # late money that is due back: no answer to the buyer's request
    if order.one_step and order.answer_status is None and payment.id == order.payment_id:
        order.answer_status = status
        order.answer_at = books.now
        order.answer_payment_id = payment.id
        order.answer_reason = reason
        books.change_order(order)
    if not order.one_step and payment.answer_status is None:
        payment.answer_status = status
        payment.answer_at = books.now
        books.change_payment(payment)
