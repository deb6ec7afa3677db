"""The till's rules: money that arrives: in time, twice, late, or beside another payment."""

from __future__ import annotations

from typing import Any

import pytest
from till_books import (
    DROP,
    NOW,
    OTHER,
    VARIANTS,
    a_payment,
    a_reserve,
    an_order,
    books,
    names,
    one_step,
    outcome,
    outcomes,
    told,
)

from livedrop.kit.ids import new_id
from livedrop.kit.refusals import Refusal
from livedrop.stock.books import Order, OrderStatus
from livedrop.stock.errors import (
    OrderNotFound,
)
from livedrop.stock.intents import Return, Sell, Settled

# The money arrives


@pytest.mark.parametrize("place", [an_order, one_step])
def test_money_sells_what_is_being_paid(place: Any) -> None:
    order = place("paying", 2)
    payment = a_payment(order, "initiated")
    book = books(orders=[order], payments=[payment])
    settled = outcome(book, Sell(**names(order, payment)))
    assert settled.order.status == "paid"
    assert settled.payment is not None
    assert settled.payment.status == "captured"
    assert told(book) == ["order.paid", "stock.changed"]
    if order.one_step:
        assert (settled.order.answer_status, settled.order.answer_at) == (201, NOW)
        assert settled.order.answer_payment_id == payment.id
    else:
        assert (settled.payment.answer_status, settled.payment.answer_at) == (201, NOW)


def test_money_said_twice_changes_nothing() -> None:
    order = an_order("paying")
    payment = a_payment(order, "initiated")
    book = books(orders=[order], payments=[payment])
    sell = Sell(**names(order, payment))
    first, second = outcomes(book, sell, sell)
    assert first == second
    assert told(book).count("order.paid") == 1


def test_money_of_an_unknown_payment_sells_nothing() -> None:
    order = an_order("paying")
    book = books(orders=[order], payments=[a_payment(order, "initiated")])
    with pytest.raises(OrderNotFound):
        outcome(book, Sell(drop_id=DROP, order_id=order.id, payment_id=new_id()))
    assert not book.changed


@pytest.mark.parametrize("status", ["refund_pending", "refunded"])
def test_money_that_is_going_back_stays_so(status: Any) -> None:
    order = an_order("cancelled")
    payment = a_payment(order, status)
    book = books(orders=[order], payments=[payment])
    settled = outcome(book, Sell(**names(order, payment)))
    assert settled.payment is not None
    assert settled.payment.status == status
    assert not book.changed


def test_money_after_a_decline_sells_the_reservation_that_came_back() -> None:
    order = an_order("reserved")
    payment = a_payment(order, "declined")
    settled = outcome(books(orders=[order], payments=[payment]), Sell(**names(order, payment)))
    assert settled.order.status == "paid"
    assert settled.payment is not None
    assert settled.payment.status == "captured"


def test_money_after_the_drop_was_cancelled_is_sold_and_due_back() -> None:
    cases: list[tuple[dict[str, Any], Order]] = [
        ({"cancelled": True}, one_step("paying")),
        ({}, one_step("paying", cancel_requested=True)),
    ]
    for head, order in cases:
        payment = a_payment(order, "initiated")
        settled = outcome(books(orders=[order], payments=[payment], **head), Sell(**names(order, payment)))
        assert settled.order.status == "paid"
        assert settled.payment is not None
        assert settled.payment.status == "refund_pending"


# Late money


def test_late_money_takes_the_units_again() -> None:
    order = an_order("expired", 2)
    payment = a_payment(order, "initiated")
    book = books(2, orders=[order], payments=[payment], per_customer_limit=2, ends_at=NOW)
    settled = outcome(book, Sell(**names(order, payment)))
    assert settled.order.status == "paid"
    assert settled.payment is not None
    assert settled.payment.status == "captured"
    assert book.lots[DROP][VARIANTS[0]].sold == 2
    assert told(book) == ["order.paid", "stock.changed", "drop.sold_out"]


@pytest.mark.parametrize(
    ("taken", "head"),
    [
        (an_order("paid", 9, user_id=OTHER), {}),
        (an_order("reserved", 2), {"per_customer_limit": 3}),
        (an_order("expired"), {"cancelled": True}),
    ],
    ids=["sold to others", "limit", "cancelled"],
)
def test_late_money_without_units_goes_back_once(taken: Any, head: dict[str, Any]) -> None:
    order = an_order("expired", 2)
    payment = a_payment(order, "initiated")
    payments = [payment, a_payment(taken, "captured")] if taken.status == "paid" else [payment]
    book = books(10, orders=[order, taken], payments=payments, **head)
    sell = Sell(**names(order, payment))
    for result in outcomes(book, sell, sell):
        assert isinstance(result, Settled)
        assert result.order.status == "expired"
        assert result.payment is not None
        assert (result.payment.status, result.payment.answer_status) == ("refund_pending", None)
    assert told(book) == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_late_money_of_what_was_called_off_always_goes_back(status: OrderStatus) -> None:
    order = one_step(status)
    payment = a_payment(order, "declined")
    settled = outcome(books(orders=[order], payments=[payment]), Sell(**names(order, payment)))
    assert settled.order.status == status
    assert settled.payment is not None
    assert settled.payment.status == "refund_pending"


def test_late_money_respects_a_limit_that_was_reached_in_the_same_batch() -> None:
    first, second = an_order("expired", 2), an_order("expired", 2)
    payments = [a_payment(first, "initiated"), a_payment(second, "initiated")]
    book = books(10, orders=[first, second], payments=payments, per_customer_limit=3)
    sells = [Sell(**names(order, payment)) for order, payment in zip((first, second), payments, strict=True)]
    results = outcomes(book, *sells)
    assert [result.order.status for result in results if isinstance(result, Settled)] == ["paid", "expired"]
    assert [payment.status for payment in payments] == ["captured", "refund_pending"]


def test_late_money_takes_the_last_unit_before_a_reserve_of_its_batch() -> None:
    order = an_order("expired")
    payment = a_payment(order, "initiated")
    book = books(1, orders=[order], payments=[payment])
    refused, sold = outcomes(book, a_reserve(user_id=OTHER), Sell(**names(order, payment)))
    assert isinstance(sold, Settled)
    assert sold.order.status == "paid"
    assert isinstance(refused, Refusal)


# A second payment


def test_a_second_payment_that_took_money_too_is_left_open_to_be_called_off() -> None:
    order = an_order("paid")
    superseded = a_payment(order, "declined")
    paid = a_payment(order, "captured")
    book = books(orders=[order], payments=[superseded, paid])
    settled = outcome(book, Sell(**names(order, superseded)))
    assert settled.payment is not None
    assert (settled.order.status, settled.payment.status) == ("paid", "initiated")
    assert settled.order.payment_id == paid.id
    ended = outcome(book, Return(**names(order, superseded), reason="superseded", voided=True))
    assert ended.payment is not None
    assert (ended.order.status, ended.payment.status) == ("paid", "voided")


def test_a_first_payment_that_took_money_after_all_pays_while_the_second_is_tried() -> None:
    order = an_order("paying")
    late = a_payment(order, "declined")
    tried = a_payment(order, "initiated")
    book = books(orders=[order], payments=[late, tried])
    assert outcome(book, Sell(**names(order, late))).order.status == "paid"
    assert order.payment_id == late.id
    second = outcome(book, Sell(**names(order, tried)))
    assert second.payment is not None
    assert second.payment.status == "initiated", "for the recovery to call off"
