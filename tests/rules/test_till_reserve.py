"""The till's rules: taking units."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from till_books import (
    BUYER,
    DROP,
    NOW,
    OTHER,
    PAST,
    SOON,
    VARIANTS,
    a_payment,
    a_reserve,
    an_attempt,
    an_end_of,
    an_order,
    books,
    one_step,
    outcome,
    outcomes,
    told,
)

from livedrop.kit.ids import new_id
from livedrop.kit.refusals import Refusal
from livedrop.stock.errors import (
    DropCancelled,
    DropEnded,
    DropNotFound,
    LimitReached,
    NotEnoughLeft,
    NotStarted,
    PriceChanged,
    SoldOut,
    UnknownVariant,
    VariantRequired,
)
from livedrop.stock.intents import Reserve, Settled
from livedrop.web.keys import KeyReused

HELD = an_order("reserved", 2)
REFUSED: list[tuple[type[Refusal], dict[str, Any], Reserve]] = [
    (DropNotFound, {"published": False}, a_reserve()),
    (DropCancelled, {"cancelled": True}, a_reserve()),
    (NotStarted, {"starts_at": SOON}, a_reserve()),
    (NotStarted, {"starts_at": NOW + timedelta(microseconds=1)}, a_reserve()),
    (DropEnded, {"ends_at": NOW}, a_reserve()),
    (UnknownVariant, {}, a_reserve(variant_id=new_id())),
    (PriceChanged, {}, a_reserve(2, expected_total_minor=1000)),
    (LimitReached, {"per_customer_limit": 2}, a_reserve()),
    (LimitReached, {"per_customer_limit": 2}, a_reserve(3, user_id=OTHER)),
    (NotEnoughLeft, {}, a_reserve(9)),
]


@pytest.mark.parametrize(("refusal", "head", "intent"), REFUSED)
def test_a_refusal_changes_nothing(refusal: type[Refusal], head: dict[str, Any], intent: Reserve) -> None:
    book = books(10, orders=[HELD], **head)
    with pytest.raises(refusal):
        outcome(book, intent)
    assert not book.changed
    assert book.facts == {}
    assert book.heads[DROP].version == 3


def test_an_unknown_drop() -> None:
    with pytest.raises(DropNotFound):
        outcome(books(), a_reserve(drop_id=new_id()))


def test_a_variant_must_be_named_where_there_are_several() -> None:
    with pytest.raises(VariantRequired):
        outcome(books(10, 10), a_reserve(variant_id=None))
    assert outcome(books(10), a_reserve(variant_id=None)).order.variant_id == VARIANTS[0]


def test_the_edges_of_time_and_limit_are_inside() -> None:
    book = books(10, orders=[HELD], starts_at=NOW, ends_at=NOW + timedelta(microseconds=1), per_customer_limit=3)
    assert outcome(book, a_reserve(1)).order.status == "reserved"


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(NotStarted) as not_started:
        outcome(books(starts_at=SOON), a_reserve())
    assert not_started.value.members == {"starts_at": "2026-01-31T10:00:00.000Z"}
    with pytest.raises(NotEnoughLeft) as not_enough:
        outcome(books(10, orders=[HELD]), a_reserve(9))
    assert not_enough.value.members == {"available": 8}
    with pytest.raises(LimitReached) as limit:
        outcome(books(10, orders=[HELD], per_customer_limit=3), a_reserve(2))
    assert limit.value.members == {"limit": 3, "held": 2}
    with pytest.raises(PriceChanged) as price:
        outcome(books(), a_reserve(2, expected_total_minor=1))
    assert price.value.members == {"total_minor": 2000}
    with pytest.raises(SoldOut) as sold_out:
        outcome(books(0), a_reserve())
    assert sold_out.value.members == {"available": 0}


def test_the_first_refusal_is_said() -> None:
    """Each step takes the first obstacle away, until the order stands."""
    head: dict[str, Any] = {
        "published": False,
        "cancelled": True,
        "starts_at": SOON,
        "ends_at": NOW,
        "per_customer_limit": 1,
    }
    intent: dict[str, Any] = {"variant_id": new_id(), "expected_total_minor": 1, "quantity": 2}
    steps: list[tuple[type[Refusal], dict[str, Any], dict[str, Any]]] = [
        (DropNotFound, {"published": True}, {}),
        (DropCancelled, {"cancelled": False}, {}),
        (NotStarted, {"starts_at": PAST}, {}),
        (DropEnded, {"ends_at": SOON}, {}),
        (UnknownVariant, {}, {"variant_id": VARIANTS[0]}),
        (PriceChanged, {}, {"expected_total_minor": 2000}),
        (LimitReached, {"per_customer_limit": 2}, {}),
    ]
    for refusal, head_change, intent_change in steps:
        with pytest.raises(refusal):
            outcome(books(1, **head), a_reserve(**intent))
        head.update(head_change)
        intent.update(intent_change)
    with pytest.raises(NotEnoughLeft):
        outcome(books(1, **head), a_reserve(**intent))
    assert outcome(books(2, **head), a_reserve(**intent)).order.quantity == 2


def test_a_reservation_is_written_down_whole() -> None:
    book = books(10, hold_seconds=90, orders_placed=0)
    intent = a_reserve(3)
    order = outcome(book, intent).order
    assert (order.id, order.user_id, order.variant_id) == (intent.order_id, BUYER, VARIANTS[0])
    assert (order.status, order.quantity, order.unit_price_minor, order.total_minor) == ("reserved", 3, 1000, 3000)
    assert order.hold_expires_at == NOW + timedelta(seconds=90)
    assert (order.answer_status, order.answer_at, order.payment_id) == (201, NOW, None)
    assert book.new_orders == [order]
    assert told(book) == ["order.reserved", "stock.changed"]
    assert book.heads[DROP].version == 4


def test_an_order_with_a_payment_is_paying_and_unanswered() -> None:
    book = books()
    attempt = an_attempt()
    settled = outcome(book, a_reserve(2, attempt=attempt))
    assert settled.order.status == "paying"
    assert settled.order.one_step
    assert settled.order.answer_status is None
    assert settled.payment is not None
    assert settled.order.payment_id == settled.payment.id == attempt.payment_id
    assert (settled.payment.status, settled.payment.amount_minor) == ("initiated", 2000)
    assert list(book.new_payments) == [attempt.payment_id]
    assert told(book) == ["order.reserved", "stock.changed"]


@pytest.mark.parametrize("attempt", [None, an_attempt()])
def test_what_costs_nothing_is_paid_without_a_payment(attempt: Any) -> None:
    book = books(price_minor=0)
    settled = outcome(book, a_reserve(2, sell_free=True, attempt=attempt))
    assert (settled.order.status, settled.order.answer_status, settled.payment) == ("paid", 201, None)
    assert book.new_payments == {}
    assert told(book) == ["order.reserved", "order.paid", "stock.changed"]


def test_what_costs_nothing_can_be_reserved_only() -> None:
    assert outcome(books(price_minor=0), a_reserve()).order.status == "reserved"


def test_a_key_gets_its_order_again_whatever_became_of_drop_and_order() -> None:
    statuses: list[Any] = ["reserved", "paying", "paid", "expired", "cancelled", "failed", "refunded"]
    kept: dict[str, Any] = {"paying": "initiated", "paid": "captured", "refunded": "refunded"}
    for status in statuses:
        past = one_step(status, idempotency_key="mine")
        payments = [a_payment(past, kept[status])] if status in kept else []
        book = books(1, orders=[past], payments=payments, cancelled=True, ends_at=PAST, per_customer_limit=1)
        settled = outcome(book, a_reserve(idempotency_key="mine"))
        assert settled.order is past
        assert settled.replayed
        assert not book.changed


def test_the_same_intent_settled_again_is_no_replay() -> None:
    """The answer to its COMMIT was lost: the order is there, and this is still its first answer."""
    intent = a_reserve(idempotency_key="mine")
    past = an_order("reserved", id=intent.order_id, idempotency_key="mine")
    settled = outcome(books(orders=[past]), intent)
    assert settled.order is past
    assert not settled.replayed


def test_another_request_under_the_key_is_refused() -> None:
    past = an_order("reserved", idempotency_key="mine")
    book = books(orders=[past])
    with pytest.raises(KeyReused):
        outcome(book, a_reserve(idempotency_key="mine", fingerprint=b"another"))
    assert not book.changed


def test_a_key_belongs_to_its_buyer() -> None:
    past = an_order("reserved", idempotency_key="mine")
    assert not outcome(books(orders=[past]), a_reserve(idempotency_key="mine", user_id=OTHER)).replayed


def test_equal_keys_in_a_batch_become_one_order() -> None:
    book = books()
    intents = [a_reserve(idempotency_key="mine") for _ in range(5)]
    different = a_reserve(2, idempotency_key="mine", fingerprint=b"another")
    results = outcomes(book, *intents, different)
    settled = [result for result in results if isinstance(result, Settled)]
    assert {result.order.id for result in settled} == {intents[0].order_id}
    assert [result.replayed for result in settled] == [False, True, True, True, True]
    assert isinstance(results[-1], KeyReused)
    assert len(book.new_orders) == 1


def test_a_key_that_was_refused_may_be_used_again() -> None:
    with pytest.raises(SoldOut):
        outcome(books(0), a_reserve(idempotency_key="mine"))
    assert not outcome(books(1), a_reserve(idempotency_key="mine")).replayed


def test_who_comes_first_in_a_batch_gets_the_last_unit() -> None:
    results = outcomes(books(3), a_reserve(2), a_reserve(2), a_reserve(1), a_reserve(1))
    assert [type(result) for result in results] == [Settled, NotEnoughLeft, Settled, SoldOut]


def test_a_limit_spans_the_variants_and_the_batch() -> None:
    book = books(10, 10, per_customer_limit=3)
    intents = [a_reserve(2), a_reserve(2, variant_id=VARIANTS[1]), a_reserve(1, variant_id=VARIANTS[1])]
    results = outcomes(book, *intents, a_reserve(3, user_id=OTHER))
    assert [type(result) for result in results] == [Settled, LimitReached, Settled, Settled]


def test_units_released_in_a_batch_are_reserved_in_it() -> None:
    """Releases come first, wherever they stand in the batch; so does the limit that they free."""
    ended = an_order("reserved", 10, hold_expires_at=NOW)
    book = books(10, orders=[ended], per_customer_limit=10)
    results = outcomes(book, a_reserve(10), an_end_of(ended))
    assert all(isinstance(result, Settled) for result in results)
    assert told(book) == ["order.expired", "order.reserved", "stock.changed"]


def test_stock_is_told_once_low_once_and_sold_out_once() -> None:
    book = books(10, low_stock_threshold=3)
    outcomes(book, *(a_reserve() for _ in range(6)))
    assert told(book) == ["order.reserved"] * 6 + ["stock.changed"]
    book = books(10, orders=[an_order("reserved", 6)], low_stock_threshold=3)
    outcomes(book, a_reserve(), a_reserve())
    assert told(book) == ["order.reserved", "order.reserved", "stock.changed", "stock.low"]
    book = books(10, orders=[an_order("reserved", 8)], low_stock_threshold=3)
    outcomes(book, a_reserve())
    assert told(book) == ["order.reserved", "stock.changed"], "low was said before"
    book = books(10, orders=[an_order("reserved", 9)], low_stock_threshold=3)
    outcomes(book, a_reserve())
    assert told(book) == ["order.reserved", "stock.changed", "drop.sold_out"]
