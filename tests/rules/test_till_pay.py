"""The till's rules: beginning to pay, payments without money, and the answer."""

from __future__ import annotations

from typing import Any

import pytest
from till_books import (
    DROP,
    NOW,
    OTHER,
    VARIANTS,
    a_begin,
    a_payment,
    an_attempt,
    an_end_of,
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
from livedrop.stock.books import OrderStatus
from livedrop.stock.errors import (
    AlreadyPaid,
    DropCancelled,
    HoldExpired,
    OrderClosed,
    OrderNotFound,
    PaymentInProgress,
)
from livedrop.stock.intents import AnswerLater, Return, Sell, Settled
from livedrop.web.keys import KeyReused

# Beginning


def test_beginning_writes_the_attempt_down() -> None:
    order = an_order("reserved", 2)
    book = books(orders=[order])
    settled = outcome(book, a_begin(order, idempotency_key="pay", fingerprint=b"pay"))
    assert settled.payment is not None
    assert (settled.order.status, settled.order.payment_id) == ("paying", settled.payment.id)
    assert (settled.payment.status, settled.payment.amount_minor) == ("initiated", 2000)
    assert list(book.new_payments) == [settled.payment.id]
    assert told(book) == []


@pytest.mark.parametrize(
    ("status", "refusal"),
    [
        ("paying", PaymentInProgress),
        ("paid", AlreadyPaid),
        ("refunded", AlreadyPaid),
        ("expired", HoldExpired),
        ("cancelled", OrderClosed),
        ("failed", OrderClosed),
    ],
)
def test_only_a_reservation_can_be_paid(status: OrderStatus, refusal: type[Refusal]) -> None:
    order = an_order(status)
    kept: dict[str, Any] = {"paying": "initiated", "paid": "captured", "refunded": "refunded"}
    book = books(orders=[order], payments=[a_payment(order, kept[status])] if status in kept else [])
    with pytest.raises(refusal):
        outcome(book, a_begin(order))
    assert not book.changed


def test_a_hold_that_has_ended_is_not_paid_even_before_anybody_released_it() -> None:
    order = an_order("reserved", hold_expires_at=NOW)
    with pytest.raises(HoldExpired):
        outcome(books(orders=[order]), a_begin(order))


def test_a_hold_outlasts_the_drop_but_not_its_cancelling() -> None:
    order = an_order("reserved")
    assert outcome(books(orders=[order], ends_at=NOW), a_begin(order)).order.status == "paying"
    order = an_order("reserved")
    with pytest.raises(DropCancelled):
        outcome(books(orders=[order], cancelled=True), a_begin(order))


def test_only_the_buyer_pays() -> None:
    order = an_order("reserved")
    with pytest.raises(OrderNotFound):
        outcome(books(orders=[order]), a_begin(order, user_id=OTHER))


def test_an_order_of_another_drop_or_none_is_not_found() -> None:
    order = an_order("reserved", drop_id=new_id())
    with pytest.raises(OrderNotFound):
        outcome(books(), a_begin(order))
    with pytest.raises(OrderNotFound):
        outcome(books(), Sell(drop_id=DROP, order_id=new_id(), payment_id=new_id()))


def test_what_costs_nothing_is_paid_at_once() -> None:
    order = an_order("reserved", unit_price_minor=0, total_minor=0)
    book = books(orders=[order], price_minor=0)
    settled = outcome(book, a_begin(order))
    assert (settled.order.status, settled.payment) == ("paid", None)
    assert told(book) == ["order.paid", "stock.changed"]


def test_the_key_of_an_attempt_begins_it_once() -> None:
    order = an_order("reserved")
    book = books(orders=[order])
    first, again, other = outcomes(
        book,
        a_begin(order, idempotency_key="pay", fingerprint=b"pay"),
        a_begin(order, idempotency_key="pay", fingerprint=b"pay"),
        a_begin(order, idempotency_key="pay", fingerprint=b"another"),
    )
    assert isinstance(first, Settled)
    assert isinstance(again, Settled)
    assert first.payment == again.payment
    assert (first.replayed, again.replayed) == (False, True)
    assert isinstance(other, KeyReused)
    assert len(book.new_payments) == 1


def test_a_key_replays_its_attempt_whatever_became_of_it() -> None:
    order = an_order("reserved")
    declined = a_payment(order, "declined", idempotency_key="pay", fingerprint=b"pay")
    settled = outcome(
        books(orders=[order], payments=[declined]), a_begin(order, idempotency_key="pay", fingerprint=b"pay")
    )
    assert settled.replayed
    assert settled.payment == declined
    assert settled.order.status == "reserved"


def test_the_same_attempt_settled_again_is_no_replay() -> None:
    order = an_order("paying")
    begun = a_payment(order, "initiated")
    intent = a_begin(order, attempt=an_attempt())
    begun.id = intent.attempt.payment_id
    book = books(orders=[order], payments=[begun])
    settled = outcome(book, intent)
    assert (settled.payment, settled.replayed) == (begun, False)
    assert not book.changed


# No money


def test_a_decline_ends_an_order_of_one_step() -> None:
    order = one_step("paying", 2)
    payment = a_payment(order, "initiated")
    book = books(2, orders=[order], payments=[payment])
    settled = outcome(book, Return(**names(order, payment), reason="card_declined"))
    assert settled.order.status == "failed"
    assert (settled.order.answer_status, settled.order.answer_reason) == (402, "card_declined")
    assert settled.payment is not None
    assert (settled.payment.status, settled.payment.decline_reason) == ("declined", "card_declined")
    assert book.lots[DROP][VARIANTS[0]].available == 2
    assert told(book) == ["order.failed", "stock.changed"]


def test_a_decline_gives_a_reservation_back_to_its_hold() -> None:
    order = an_order("paying")
    payment = a_payment(order, "initiated")
    book = books(orders=[order], payments=[payment])
    settled = outcome(book, Return(**names(order, payment), reason="card_declined"))
    assert settled.order.status == "reserved"
    assert settled.payment is not None
    assert settled.payment.answer_status == 402
    assert told(book) == []
    assert outcome(book, a_begin(order)).order.status == "paying"


@pytest.mark.parametrize(
    ("changes", "head", "status"),
    [
        ({"hold_expires_at": NOW}, {}, "expired"),
        ({"cancel_requested": True}, {}, "cancelled"),
        ({}, {"cancelled": True}, "cancelled"),
        ({"hold_expires_at": NOW}, {"cancelled": True}, "cancelled"),
    ],
)
def test_a_decline_after_the_hold_ends_the_order(
    changes: dict[str, Any], head: dict[str, Any], status: OrderStatus
) -> None:
    order = an_order("paying", **changes)
    payment = a_payment(order, "initiated")
    book = books(orders=[order], payments=[payment], **head)
    settled = outcome(book, Return(**names(order, payment), reason="voided", voided=True))
    assert settled.order.status == status
    assert settled.payment is not None
    assert settled.payment.status == "voided"
    assert told(book) == [f"order.{status}", "stock.changed"]


@pytest.mark.parametrize("status", ["captured", "declined", "voided", "refund_pending", "refunded"])
def test_a_late_decline_changes_nothing(status: Any) -> None:
    standing: dict[str, Any] = {"captured": "paid", "refunded": "refunded"}
    order = an_order(standing.get(status, "expired"))
    payment = a_payment(order, status, decline_reason="first")
    book = books(orders=[order], payments=[payment])
    settled = outcome(book, Return(**names(order, payment), reason="card_declined"))
    assert settled.payment is not None
    assert (settled.payment.status, settled.payment.decline_reason) == (status, "first")
    assert not book.changed


# The answer


def test_the_first_answer_stays() -> None:
    order = one_step("paying")
    payment = a_payment(order, "initiated")
    book = books(orders=[order], payments=[payment])
    outcomes(book, AnswerLater(**names(order, payment)), Sell(**names(order, payment)))
    assert (order.status, order.answer_status) == ("paid", 202)
    order = an_order("paying")
    payment = a_payment(order, "initiated")
    book = books(orders=[order], payments=[payment])
    outcomes(book, Sell(**names(order, payment)), AnswerLater(**names(order, payment)))
    assert payment.answer_status == 201


def test_a_hold_that_ended_does_not_expire_what_is_being_paid() -> None:
    order = an_order("paying", hold_expires_at=NOW)
    book = books(orders=[order], payments=[a_payment(order, "initiated")])
    assert outcome(book, an_end_of(order)).order.status == "paying"
    assert not book.changed
