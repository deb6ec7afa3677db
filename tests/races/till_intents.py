"""Random intents for the till, about what a model knows to be there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from hypothesis import strategies as st
from till_model import Row

from livedrop.kit.ids import new_id
from livedrop.stock.intents import (
    AnswerLater,
    BeginPayment,
    CancelDrop,
    DropIntent,
    Edit,
    Intent,
    Publish,
    RefundDue,
    Release,
    Reserve,
    Restock,
    Return,
    Sell,
)
from shop import Drop, attempt

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Relative to now: so far away that it does not matter how long a run takes.
STARTS = st.sampled_from([-DAY] * 6 + [HOUR])
ENDS = st.sampled_from([None, DAY, 2 * DAY] * 3 + [-HOUR])
UNITS = st.lists(st.sampled_from([5, 9, 3, 1, 0]), min_size=1, max_size=2)
QUANTITIES = st.sampled_from([1, 1, 1, 2, 3])
LIMITS = st.sampled_from([None, None, 2, 4, 6])
KEYS = st.sampled_from(["a", "b", "c", "d", "e", "f"])
PRINTS = st.sampled_from([b"one"] * 9 + [b"two"])
SELDOM = st.sampled_from([False] * 9 + [True])


@st.composite
def an_intent(
    draw: st.DrawFn, now: datetime, buyers: list[UUID], drop: Drop, orders: list[Row], payments: list[Row]
) -> Intent:
    """An intent about this drop, one of its orders or payments, or a reserve."""
    kinds = ["reserve"] * 4
    if orders:
        kinds += ["begin", "begin", "order", "drop"]
    elif draw(SELDOM):
        kinds += ["drop"]
    if payments:
        kinds += ["payment"] * 4
    match draw(st.sampled_from(kinds)):
        case "begin":
            return _begin(draw, buyers, drop, draw(st.sampled_from(orders)))
        case "order":
            return _about_order(draw, buyers, drop, draw(st.sampled_from(orders)))
        case "payment":
            return _about_payment(draw, drop, draw(st.sampled_from(payments)))
        case "drop":
            return _about_drop(draw, now, buyers, drop)
    return _reserve(draw, buyers, drop)


def _reserve(draw: st.DrawFn, buyers: list[UUID], drop: Drop) -> Reserve:
    variants = [*drop.variants * 4, None, new_id()]
    return Reserve(
        order_id=new_id(),
        drop_id=drop.id,
        user_id=draw(st.sampled_from(buyers)),
        variant_id=draw(st.sampled_from(variants)),
        quantity=draw(QUANTITIES),
        idempotency_key=draw(KEYS),
        fingerprint=draw(PRINTS),
        expected_total_minor=draw(st.sampled_from([None] * 9 + [1000])),
        attempt=attempt() if draw(st.booleans()) else None,
        sell_free=draw(st.booleans()),
    )


def _begin(draw: st.DrawFn, buyers: list[UUID], drop: Drop, order: Row) -> BeginPayment:
    key = draw(st.none() | KEYS)
    return BeginPayment(
        drop_id=drop.id,
        order_id=order["id"],
        user_id=draw(st.sampled_from([order["user"]] * 5 + buyers[:1])),
        attempt=attempt(),
        idempotency_key=key,
        fingerprint=None if key is None else draw(PRINTS),
    )


def _about_order(draw: st.DrawFn, buyers: list[UUID], drop: Drop, order: Row) -> Intent:
    names = {"drop_id": drop.id, "order_id": order["id"]}
    creator = draw(st.sampled_from([drop.creator_id] * 5 + buyers[:1]))
    return cast(
        "Intent",
        draw(
            st.sampled_from(
                [
                    *[Release(**names, cause="expired")] * 6,
                    Release(**names, cause="cancelled", by_user=draw(st.sampled_from(buyers))),
                    Release(**names, cause="cancelled", by_creator=creator),
                    Release(**names, cause="cancelled"),
                    RefundDue(**names, by_creator=creator),
                    RefundDue(**names),
                ]
            )
        ),
    )


def _about_payment(draw: st.DrawFn, drop: Drop, payment: Row) -> Intent:
    names: Any = {"drop_id": drop.id, "order_id": payment["order"], "payment_id": payment["id"]}
    kind = draw(st.sampled_from([Sell, Sell, Sell, Return, Return, AnswerLater, Restock, Restock]))
    if kind is Return:
        return Return(**names, reason="card_declined", voided=draw(st.booleans()))
    intent: Intent = kind(**names)
    return intent


def _about_drop(draw: st.DrawFn, now: datetime, buyers: list[UUID], drop: Drop) -> DropIntent:
    names: dict[str, Any] = {
        "drop_id": drop.id,
        "creator_id": draw(st.sampled_from([drop.creator_id] * 5 + buyers[:1])),
    }
    kind = draw(st.sampled_from([Edit] * 16 + [Publish] * 3 + [CancelDrop]))
    if kind is not Edit:
        change: DropIntent = kind(**names)
        return change
    changes: dict[str, Any] = {}
    if draw(st.booleans()):
        totals = st.dictionaries(st.sampled_from([*drop.variants, None]), st.integers(0, 9), min_size=1, max_size=1)
        changes["totals"] = draw(totals)
    if draw(st.booleans()):
        ends_in = draw(ENDS)
        changes["ends_at"] = None if ends_in is None else now + ends_in
    if draw(st.integers(0, 3)) == 0:
        changes["starts_at"] = now + draw(STARTS)
    if draw(st.integers(0, 3)) == 0:
        changes["per_customer_limit"] = draw(LIMITS)
    return Edit(**names, **changes)
