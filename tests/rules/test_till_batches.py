"""The till's rules, whatever comes: random batches on random books keep every balance; a refusal changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from till_books import (
    BUYER,
    CREATOR,
    DROP,
    NOW,
    OTHER,
    PAST,
    SOON,
    VARIANTS,
    a_payment,
    an_attempt,
    an_order,
    books,
    check,
    names,
    one_step,
)

from livedrop.kit.ids import new_id
from livedrop.kit.refusals import Refusal
from livedrop.stock.books import HOLDING, Books, Order, OrderStatus, Payment, PaymentStatus
from livedrop.stock.intents import (
    AnswerLater,
    BeginPayment,
    CancelDrop,
    Edit,
    Intent,
    RefundDue,
    Release,
    Reserve,
    Restock,
    Return,
    Sell,
)
from livedrop.stock.rules import settle

BUYERS = st.sampled_from([BUYER, OTHER])
QUANTITIES = st.integers(1, 3)
LIMITS = st.none() | st.integers(1, 4)
# Which payments an order of this status may have; the last one is the one that it names.
LEGAL: dict[OrderStatus, list[list[PaymentStatus]]] = {
    "reserved": [[], ["declined"]],
    "paying": [["initiated"], ["declined", "initiated"]],
    "paid": [["captured"], ["refund_pending"], ["declined", "captured"]],
    "expired": [[], ["declined"], ["refund_pending"], ["refunded"]],
    "cancelled": [[], ["declined"], ["refund_pending"]],
    "failed": [["declined"], ["voided"], ["refunded"]],
    "refunded": [["refunded"], ["declined", "refunded"]],
}


@st.composite
def an_existing_order(draw: st.DrawFn) -> tuple[Order, list[Payment]]:
    status: OrderStatus = draw(st.sampled_from(sorted(LEGAL)))
    make = draw(st.sampled_from([an_order, one_step])) if status not in ("reserved", "expired") else an_order
    order = make(
        status,
        draw(QUANTITIES),
        user_id=draw(BUYERS),
        variant_id=draw(st.sampled_from(VARIANTS[:2])),
        hold_expires_at=draw(st.sampled_from([PAST, NOW, SOON])),
        idempotency_key=f"past-{new_id()}",
        cancel_requested=status == "paying" and draw(st.booleans()),
    )
    return order, [a_payment(order, each) for each in draw(st.sampled_from(LEGAL[status]))]


@st.composite
def some_books(draw: st.DrawFn) -> Books:
    made = draw(st.lists(an_existing_order(), max_size=6))
    orders = [order for order, _ in made]
    taken = [sum(o.quantity for o in orders if o.status in HOLDING and o.variant_id == v) for v in VARIANTS[:2]]
    return books(
        *(units + draw(st.integers(0, 5)) for units in taken),
        orders=orders,
        payments=[payment for _, payments in made for payment in payments],
        cancelled=draw(st.booleans()),
        per_customer_limit=draw(LIMITS),
        ends_at=draw(st.sampled_from([None, NOW, SOON])),
        low_stock_threshold=draw(st.integers(0, 3)),
    )


@st.composite
def an_intent(draw: st.DrawFn, book: Books) -> Intent:
    payments = [(book.orders[payment.order_id], payment) for each in book.payments.values() for payment in each]
    kinds: list[type[Any]] = [Reserve, Edit, CancelDrop]
    kinds += [BeginPayment, Release, RefundDue] if book.orders else []
    kinds += [Sell, Return, AnswerLater, Restock] if payments else []
    kind = draw(st.sampled_from(kinds))
    if kind is Reserve:
        return Reserve(
            order_id=new_id(),
            drop_id=DROP,
            user_id=draw(BUYERS),
            variant_id=draw(st.sampled_from(VARIANTS)),
            quantity=draw(QUANTITIES),
            idempotency_key=draw(st.sampled_from("abc")),
            fingerprint=draw(st.sampled_from([b"one", b"two"])),
            attempt=draw(st.none() | st.builds(an_attempt)),
        )
    if kind is Edit:
        return Edit(drop_id=DROP, creator_id=CREATOR, totals={VARIANTS[0]: draw(st.integers(0, 25))})
    if kind is CancelDrop:
        return CancelDrop(drop_id=DROP, creator_id=CREATOR)
    if kind in (BeginPayment, Release, RefundDue):
        order = draw(st.sampled_from(list(book.orders.values())))
        return _about_order(draw, kind, order)
    order, payment = draw(st.sampled_from(payments))
    more = {"reason": "declined", "voided": draw(st.booleans())} if kind is Return else {}
    intent: Intent = kind(**names(order, payment), **more)
    return intent


def _about_order(draw: st.DrawFn, kind: type[Any], order: Order) -> Intent:
    if kind is BeginPayment:
        return BeginPayment(drop_id=DROP, order_id=order.id, user_id=draw(BUYERS), attempt=an_attempt())
    if kind is RefundDue:
        return RefundDue(drop_id=DROP, order_id=order.id)
    by: dict[str, Any] = draw(
        st.sampled_from([{"by_user": BUYER}, {"by_user": OTHER}, {"by_creator": CREATOR}, {}, {"cause": "expired"}])
    )
    return Release(**{"drop_id": DROP, "order_id": order.id, "cause": "cancelled", **by})


@given(st.data(), some_books())
def test_every_batch_keeps_the_balance(data: st.DataObject, book: Books) -> None:
    check(book)
    limit = book.heads[DROP].per_customer_limit
    held_before = {user_id: _held(book, user_id) for user_id in (BUYER, OTHER)}
    intents = data.draw(st.lists(an_intent(book), max_size=8))
    results = settle(book, intents)
    assert len(results) == len(intents)
    check(book)
    for user_id, before in held_before.items():
        assert book.held.get((DROP, user_id), 0) == _held(book, user_id)
        if limit is not None:
            assert _held(book, user_id) <= max(limit, before)


@given(st.data(), some_books())
def test_a_refusal_changes_nothing_and_a_second_time_changes_nothing_more(data: st.DataObject, book: Books) -> None:
    intent = data.draw(an_intent(book))
    before = _shown(book)
    (result,) = settle(book, [intent])
    if isinstance(result, Refusal):
        assert _shown(book) == before
        assert not book.changed
        return
    # Its COMMIT was made but its answer lost: settled again, it finds its own result.
    committed = _shown(book)
    book = _read_again(book)
    (again,) = settle(book, [intent])
    assert not isinstance(again, Refusal)
    if not isinstance(intent, Edit):
        assert _shown(book) == committed
        assert book.facts == {}


@given(st.data(), some_books())
def test_time_alone_releases_what_nobody_pays(data: st.DataObject, book: Books) -> None:
    book.now = NOW + timedelta(days=2)
    releases = [Release(drop_id=DROP, order_id=order_id, cause="expired") for order_id in book.orders]
    settle(book, data.draw(st.permutations(releases)))
    check(book)
    assert {order.status for order in book.orders.values()}.isdisjoint({"reserved"})


def _read_again(book: Books) -> Books:
    """The books as the next batch reads them."""
    payments = [payment for each in book.payments.values() for payment in each]
    held = [(DROP, user_id, _held(book, user_id)) for user_id in (BUYER, OTHER)]
    return Books(
        book.now,
        list(book.heads.values()),
        list(book.lots[DROP].values()),
        list(book.orders.values()),
        held,
        payments,
    )


def _held(book: Books, user_id: Any) -> int:
    orders = [order for order in book.orders.values() if order.user_id == user_id and order.status in HOLDING]
    return sum(order.quantity for order in orders)


def _shown(book: Books) -> bytes:
    """All rows; without the version, which a batch closes with."""
    head = msgspec.structs.replace(book.heads[DROP], version=0)
    return msgspec.json.encode((head, list(book.lots[DROP].values()), list(book.orders.values()), book.payments))
