"""The till's rules: units that go back, and money that does."""

from __future__ import annotations

from typing import Any

import pytest
from till_books import (
    BUYER,
    CREATOR,
    DROP,
    NOW,
    OTHER,
    VARIANTS,
    a_payment,
    a_reserve,
    an_end_of,
    an_order,
    books,
    names,
    outcome,
    outcomes,
    told,
)

from livedrop.kit.ids import new_id
from livedrop.kit.refusals import Refusal
from livedrop.stock.books import OrderStatus
from livedrop.stock.errors import AlreadyPaid, NotRefundable, OrderClosed, OrderNotFound, PaymentInProgress
from livedrop.stock.intents import RefundDue, Release, Restock, Return, Sell, Settled

KEPT: dict[str, Any] = {"paying": "initiated", "paid": "captured", "refunded": "refunded"}


def _cancel(order_id: Any, **by: Any) -> Release:
    return Release(drop_id=DROP, order_id=order_id, cause="cancelled", **by)


def _with_payment(status: OrderStatus) -> Any:
    order = an_order(status, 2)
    payments = [a_payment(order, KEPT[status])] if status in KEPT else []
    return order, books(10, orders=[order], payments=payments)


# Expiring


def test_a_hold_that_has_ended_expires_once() -> None:
    order = an_order("reserved", 2, hold_expires_at=NOW)
    book = books(orders=[order])
    first, second = outcomes(book, an_end_of(order), an_end_of(order))
    assert isinstance(first, Settled)
    assert isinstance(second, Settled)
    assert first.order.status == second.order.status == "expired"
    assert told(book) == ["order.expired", "stock.changed"]
    assert book.lots[DROP][VARIANTS[0]].available == 10


def test_a_hold_that_lasts_does_not_expire() -> None:
    order = an_order("reserved")
    book = books(orders=[order])
    assert outcome(book, an_end_of(order)).order.status == "reserved"
    assert not book.changed


@pytest.mark.parametrize("status", ["paying", "paid", "expired", "cancelled", "failed", "refunded"])
def test_only_a_reservation_expires(status: OrderStatus) -> None:
    order, book = _with_payment(status)
    order.hold_expires_at = NOW
    assert outcome(book, an_end_of(order)).order.status == status
    assert not book.changed


def test_a_hold_that_ended_on_a_cancelled_drop_is_cancelled() -> None:
    order = an_order("reserved", hold_expires_at=NOW)
    assert outcome(books(orders=[order], cancelled=True), an_end_of(order)).order.status == "cancelled"


# Cancelling


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        ("reserved", None),
        ("paying", PaymentInProgress),
        ("paid", AlreadyPaid),
        ("expired", OrderClosed),
        ("cancelled", None),
        ("failed", OrderClosed),
        ("refunded", OrderClosed),
    ],
)
def test_a_buyer_cancels_a_reservation_only(status: OrderStatus, refusal: type[Refusal] | None) -> None:
    order, book = _with_payment(status)
    if refusal is None:
        assert outcome(book, _cancel(order.id, by_user=BUYER)).order.status == "cancelled"
    else:
        with pytest.raises(refusal):
            outcome(book, _cancel(order.id, by_user=BUYER))
    assert book.changed == (status == "reserved")


def test_cancelling_gives_the_units_and_the_limit_back_once() -> None:
    order = an_order("reserved", 2)
    book = books(2, orders=[order], per_customer_limit=2)
    cancel = _cancel(order.id, by_user=BUYER)
    *_, taken = outcomes(book, cancel, cancel, a_reserve(2))
    assert isinstance(taken, Settled)
    assert told(book) == ["order.cancelled", "order.reserved", "stock.changed"]


@pytest.mark.parametrize("by", [{"by_user": OTHER}, {"by_creator": OTHER}, {"by_creator": BUYER}])
@pytest.mark.parametrize("status", ["reserved", "paid", "cancelled"])
def test_strangers_cancel_nothing(by: dict[str, Any], status: OrderStatus) -> None:
    order, book = _with_payment(status)
    with pytest.raises(OrderNotFound):
        outcome(book, _cancel(order.id, **by))
    assert not book.changed


def test_a_creator_cancels_a_reservation() -> None:
    order, book = _with_payment("reserved")
    assert outcome(book, _cancel(order.id, by_creator=CREATOR)).order.status == "cancelled"
    assert told(book) == ["order.cancelled", "stock.changed"]


@pytest.mark.parametrize("ends", ["money", "decline"])
def test_a_creator_cancels_what_is_being_paid(ends: str) -> None:
    order, book = _with_payment("paying")
    (payment,) = book.payments[order.id]
    cancelled = outcome(book, _cancel(order.id, by_creator=CREATOR))
    assert (cancelled.order.status, cancelled.order.cancel_requested) == ("paying", True)
    assert told(book) == []
    if ends == "money":
        sold = outcome(book, Sell(**names(order, payment)))
        assert (sold.order.status, payment.status) == ("paid", "refund_pending")
        assert outcome(book, Restock(**names(order, payment))).order.status == "refunded"
    else:
        returned = outcome(book, Return(**names(order, payment), reason="card_declined"))
        assert (returned.order.status, payment.status) == ("cancelled", "declined")
    assert book.lots[DROP][VARIANTS[0]].available == 10


def test_a_creator_cancels_what_is_paid_by_refunding() -> None:
    order, book = _with_payment("paid")
    settled = outcome(book, _cancel(order.id, by_creator=CREATOR))
    assert settled.payment is not None
    assert (settled.order.status, settled.payment.status) == ("paid", "refund_pending")


@pytest.mark.parametrize("status", ["expired", "failed"])
def test_what_has_ended_is_not_cancelled_by_wish_but_passed_over_with_the_drop(status: OrderStatus) -> None:
    order, book = _with_payment(status)
    with pytest.raises(OrderClosed):
        outcome(book, _cancel(order.id, by_creator=CREATOR))
    assert outcome(book, _cancel(order.id)).order.status == status
    assert not book.changed


@pytest.mark.parametrize("status", ["cancelled", "refunded"])
@pytest.mark.parametrize("by", [{}, {"by_creator": CREATOR}])
def test_cancelling_what_is_cancelled_changes_nothing(status: OrderStatus, by: dict[str, Any]) -> None:
    order, book = _with_payment(status)
    assert outcome(book, _cancel(order.id, **by)).order.status == status
    assert not book.changed


# Refunding


@pytest.mark.parametrize("status", ["reserved", "paying", "expired", "cancelled", "failed"])
def test_only_a_paid_order_is_refunded(status: OrderStatus) -> None:
    order, book = _with_payment(status)
    with pytest.raises(NotRefundable) as refused:
        outcome(book, RefundDue(drop_id=DROP, order_id=order.id, by_creator=CREATOR))
    assert refused.value.members == {"order_status": status}
    assert not book.changed


def test_a_refund_is_the_creators() -> None:
    order, book = _with_payment("paid")
    with pytest.raises(OrderNotFound):
        outcome(book, RefundDue(drop_id=DROP, order_id=order.id, by_creator=BUYER))


def test_a_refund_is_due_once_and_restocks_once() -> None:
    order, book = _with_payment("paid")
    (payment,) = book.payments[order.id]
    due, restock = RefundDue(drop_id=DROP, order_id=order.id), Restock(**names(order, payment))
    first, second = outcomes(book, due, due)
    assert first == second
    assert (order.status, payment.status) == ("paid", "refund_pending")
    assert book.lots[DROP][VARIANTS[0]].sold == 2
    results = outcomes(book, restock, restock, due)
    assert [result.order.status for result in results if isinstance(result, Settled)] == ["refunded"] * 3
    assert payment.status == "refunded"
    assert book.lots[DROP][VARIANTS[0]].available == 10
    assert told(book) == ["order.refunded", "stock.changed"]


def test_money_that_the_provider_returned_by_itself_refunds_the_order() -> None:
    order, book = _with_payment("paid")
    (payment,) = book.payments[order.id]
    assert outcome(book, Restock(**names(order, payment))).order.status == "refunded"


def test_a_refund_of_late_money_brings_no_units_back() -> None:
    order = an_order("expired", 2)
    payment = a_payment(order, "refund_pending")
    book = books(orders=[order], payments=[payment])
    settled = outcome(book, Restock(**names(order, payment)))
    assert settled.payment is not None
    assert (settled.order.status, settled.payment.status) == ("expired", "refunded")
    assert told(book) == []


@pytest.mark.parametrize("status", ["initiated", "declined", "voided"])
def test_money_that_never_came_is_not_restocked(status: Any) -> None:
    order = an_order("paying" if status == "initiated" else "reserved")
    payment = a_payment(order, status)
    book = books(orders=[order], payments=[payment])
    outcome(book, Restock(**names(order, payment)))
    assert not book.changed


def test_a_refund_of_an_unknown_payment_is_not_found() -> None:
    order, book = _with_payment("paid")
    with pytest.raises(OrderNotFound):
        outcome(book, Restock(drop_id=DROP, order_id=order.id, payment_id=new_id()))


def test_what_cost_nothing_is_refunded_at_once() -> None:
    order = an_order("paid", 2, unit_price_minor=0, total_minor=0)
    book = books(orders=[order], price_minor=0)
    due = RefundDue(drop_id=DROP, order_id=order.id)
    first, second = outcomes(book, due, due)
    assert isinstance(first, Settled)
    assert (first.order.status, first.payment) == ("refunded", None)
    assert first == second
    assert told(book) == ["order.refunded", "stock.changed"]


def test_a_refund_frees_the_limit() -> None:
    order, book = _with_payment("paid")
    book.heads[DROP].per_customer_limit = 2
    (payment,) = book.payments[order.id]
    payment.status = "refund_pending"
    assert isinstance(outcomes(book, a_reserve())[0], Refusal)
    _, taken = outcomes(book, Restock(**names(order, payment)), a_reserve())
    assert isinstance(taken, Settled)
