"""Orders and payments as the API shows them, and the first answer of a request, told again to a retry."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from livedrop.kit.clock import rfc3339
from livedrop.orders.errors import PaymentDeclined
from livedrop.stock import Order, OrderStatus, Payment, PaymentStatus
from livedrop.web.fields import SaidMoment
from livedrop.web.requests import Answer

REPLAYED = ((b"idempotent-replayed", b"true"),)


class OrderShown(msgspec.Struct):
    """An order; `hold_expires_at` is there while its units are held for payment."""

    id: UUID
    drop_id: UUID
    user_id: UUID
    variant_id: UUID
    product_id: UUID
    quantity: int
    unit_price_minor: int
    total_minor: int
    currency: str
    status: OrderStatus
    hold_expires_at: SaidMoment | None
    payment_id: UUID | None
    created_at: SaidMoment
    updated_at: SaidMoment


class PaymentShown(msgspec.Struct):
    """One attempt to pay an order."""

    id: UUID
    order_id: UUID
    amount_minor: int
    currency: str
    method: str
    status: PaymentStatus
    provider: str
    created_at: SaidMoment


def show_order(order: Order) -> OrderShown:
    """The order as it stands."""
    return _shown(order, order.status, order.payment_id, order.updated_at)


def show_payment(payment: Payment) -> PaymentShown:
    return PaymentShown(
        payment.id,
        payment.order_id,
        payment.amount_minor,
        payment.currency,
        payment.method,
        payment.status,
        payment.provider,
        rfc3339(payment.created_at),
    )


def first_answer(order: Order, *, replayed: bool) -> Answer:
    """What the request that made this order was answered, rebuilt from columns that never change again.

    Raises `PaymentDeclined` where that was the answer.
    """
    assert order.answer_status is not None, "the answer is written before it is given"
    assert order.answer_at is not None, "an answer has its time"
    if order.answer_status == 402:
        raise PaymentDeclined(order.id, order.answer_reason or "declined", still_reserved=False, replayed=replayed)
    status: OrderStatus = "reserved"
    if order.answer_status == 202:
        status = "paying"
    elif order.one_step:
        status = "paid"
    return _encoded(
        _shown(order, status, order.answer_payment_id, order.answer_at), order.answer_status, replayed=replayed
    )


def free_answer(order: Order, *, replayed: bool) -> Answer:
    """What is answered to whoever pays a reservation that costs nothing: the paid order, as often as it is asked."""
    return _encoded(show_order(order), 201, replayed=replayed)


def payment_answer(order: Order, payment: Payment, *, replayed: bool) -> Answer:
    """What the request that made this attempt on a reservation was answered."""
    assert payment.answer_status is not None, "the answer is written before it is given"
    assert payment.answer_at is not None, "an answer has its time"
    if payment.answer_status == 402:
        raise PaymentDeclined(order.id, payment.decline_reason or "declined", still_reserved=True, replayed=replayed)
    status: OrderStatus = "paying" if payment.answer_status == 202 else "paid"
    return _encoded(_shown(order, status, payment.id, payment.answer_at), payment.answer_status, replayed=replayed)


def _shown(order: Order, status: OrderStatus, payment_id: UUID | None, updated_at: datetime) -> OrderShown:
    return OrderShown(
        order.id,
        order.drop_id,
        order.user_id,
        order.variant_id,
        order.product_id,
        order.quantity,
        order.unit_price_minor,
        order.total_minor,
        order.currency,
        status,
        rfc3339(order.hold_expires_at) if status in ("reserved", "paying") else None,
        payment_id,
        rfc3339(order.created_at),
        rfc3339(updated_at),
    )


def _encoded(shown: OrderShown, status: int, *, replayed: bool) -> Answer:
    return Answer(msgspec.json.encode(shown), status, REPLAYED if replayed else ())
