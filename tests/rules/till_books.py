"""Hand-made books for the till's rules: one drop, its lots, orders and payments, balanced."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from livedrop.kit.ids import new_id
from livedrop.kit.refusals import Refusal
from livedrop.stock.books import CAPTURED, HOLDING, Books, Head, Lot, Order, OrderStatus, Payment, PaymentStatus
from livedrop.stock.intents import Attempt, BeginPayment, DropSettled, Intent, PaymentNames, Release, Reserve, Settled
from livedrop.stock.rules import settle

NOW = datetime(2026, 1, 31, 9, 0, 0, tzinfo=UTC)
SOON, LATE = NOW + timedelta(hours=1), NOW + timedelta(days=1)
PAST = NOW - timedelta(hours=1)
DROP, CREATOR, PRODUCT, BUYER, OTHER = (new_id() for _ in range(5))
VARIANTS = [new_id() for _ in range(3)]


def a_head(**changes: Any) -> Head:
    """A drop that is live, without an end or a limit."""
    head = Head(
        drop_id=DROP,
        creator_id=CREATOR,
        product_id=PRODUCT,
        title="Drop",
        published=True,
        starts_at=PAST,
        ends_at=None,
        cancelled=False,
        per_customer_limit=None,
        hold_seconds=60,
        low_stock_threshold=0,
        seq=7,
        version=3,
        orders_placed=0,
    )
    return msgspec.structs.replace(head, **changes)


def an_order(status: OrderStatus, quantity: int = 1, **changes: Any) -> Order:
    order = Order(
        id=new_id(),
        drop_id=DROP,
        user_id=BUYER,
        creator_id=CREATOR,
        product_id=PRODUCT,
        variant_id=VARIANTS[0],
        quantity=quantity,
        unit_price_minor=1000,
        total_minor=1000 * quantity,
        currency="EUR",
        hold_expires_at=SOON,
        one_step=False,
        idempotency_key=str(new_id()),
        fingerprint=b"one",
        created_at=PAST,
        status=status,
        payment_id=None,
        cancel_requested=False,
        answer_status=201,
        answer_at=PAST,
        answer_payment_id=None,
        answer_reason=None,
        updated_at=PAST,
    )
    return msgspec.structs.replace(order, **changes)


def one_step(status: OrderStatus, quantity: int = 1, **changes: Any) -> Order:
    """An order that was placed together with its payment, and not answered yet."""
    return an_order(status, quantity, **{"one_step": True, "answer_status": None, "answer_at": None, **changes})


def a_payment(order: Order, status: PaymentStatus, **changes: Any) -> Payment:
    """A payment of this order, and the one that the order names."""
    payment = Payment(
        id=new_id(),
        drop_id=order.drop_id,
        order_id=order.id,
        user_id=order.user_id,
        creator_id=order.creator_id,
        amount_minor=order.total_minor,
        currency=order.currency,
        method="pm_card_ok",
        provider="sandbox",
        idempotency_key=None,
        fingerprint=None,
        created_at=PAST,
        status=status,
        decline_reason=None,
        answer_status=None,
        answer_at=None,
        updated_at=PAST,
    )
    order.payment_id = payment.id
    return msgspec.structs.replace(payment, **changes)


def a_lot(place: int, total: int, orders: Sequence[Order] = (), price_minor: int = 1000) -> Lot:
    own = [order for order in orders if order.variant_id == VARIANTS[place]]
    reserved = sum(order.quantity for order in own if order.status in ("reserved", "paying"))
    sold = sum(order.quantity for order in own if order.status == "paid")
    return Lot(
        drop_id=DROP,
        variant_id=VARIANTS[place],
        position=place,
        sku=f"SKU-{place}",
        name=f"Size {place}",
        unit_price_minor=price_minor,
        currency="EUR",
        total=total,
        available=total - reserved - sold,
        reserved=reserved,
        sold=sold,
    )


def books(
    *units: int,
    orders: Sequence[Order] = (),
    payments: Sequence[Payment] = (),
    now: datetime = NOW,
    price_minor: int = 1000,
    **head: Any,
) -> Books:
    """Books with a lot for each of `units` (one of 10 without), which the orders have taken their part of."""
    lots = [a_lot(place, total, orders, price_minor) for place, total in enumerate(units or (10,))]
    held: dict[UUID, int] = {}
    for order in orders:
        if order.status in HOLDING:
            held[order.user_id] = held.get(order.user_id, 0) + order.quantity
    made = a_head(**{"orders_placed": len(orders), **head})
    return Books(
        now, [made], lots, list(orders), [(DROP, user_id, count) for user_id, count in held.items()], list(payments)
    )


def a_reserve(quantity: int = 1, **changes: Any) -> Reserve:
    intent = Reserve(
        order_id=new_id(),
        drop_id=DROP,
        user_id=BUYER,
        variant_id=VARIANTS[0],
        quantity=quantity,
        idempotency_key=str(new_id()),
        fingerprint=b"one",
    )
    return msgspec.structs.replace(intent, **changes)


def an_attempt() -> Attempt:
    return Attempt(new_id(), "pm_card_ok", "sandbox")


def a_begin(order: Order, **changes: Any) -> BeginPayment:
    intent = BeginPayment(drop_id=DROP, order_id=order.id, user_id=order.user_id, attempt=an_attempt())
    return msgspec.structs.replace(intent, **changes)


def names(order: Order, payment: Payment) -> PaymentNames:
    return {"drop_id": DROP, "order_id": order.id, "payment_id": payment.id}


def an_end_of(order: Order) -> Release:
    return Release(drop_id=DROP, order_id=order.id, cause="expired")


def outcomes(book: Books, *intents: Intent) -> list[Settled | DropSettled | Refusal]:
    """Settles one batch, and checks that the books still balance."""
    results = settle(book, intents)
    check(book)
    return list(results)


def outcome(book: Books, intent: Intent) -> Settled:
    """Settles one intent about an order; raises its refusal."""
    (result,) = outcomes(book, intent)
    if isinstance(result, Refusal):
        raise result
    assert isinstance(result, Settled)
    return result


def told(book: Books) -> list[str]:
    """The types of the facts, in order."""
    return [str(fact.__struct_config__.tag) for fact in book.facts.get(DROP, ())]


def check(book: Books) -> None:
    """What must hold after every batch."""
    head = book.heads[DROP]
    for lot in book.lots[DROP].values():
        assert min(lot.available, lot.reserved, lot.sold) >= 0
        assert lot.available + lot.reserved + lot.sold == lot.total
        own = [order for order in book.orders.values() if order.variant_id == lot.variant_id]
        assert lot.sold == sum(order.quantity for order in own if order.status == "paid")
        assert lot.reserved == sum(order.quantity for order in own if order.status in ("reserved", "paying"))
    for order in book.orders.values():
        statuses = [payment.status for payment in book.payments.get(order.id, ())]
        captures = [status for status in statuses if status in CAPTURED]
        assert len(captures) <= 1
        if order.total_minor > 0:
            assert (order.status == "paid") <= (captures in (["captured"], ["refund_pending"]))
            assert (captures == ["captured"]) <= (order.status == "paid")
            assert (order.status == "refunded") <= (captures == ["refunded"])
        assert (order.status == "paying") <= ("initiated" in statuses)
    seqs = [fact.seq for fact in book.facts.get(DROP, ())]
    assert seqs == list(range(head.seq - len(seqs) + 1, head.seq + 1))
    assert head.orders_placed == len(book.orders)
