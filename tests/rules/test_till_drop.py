"""The till's rules: changing, publishing and cancelling a drop."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from till_books import (
    CREATOR,
    DROP,
    LATE,
    NOW,
    OTHER,
    PAST,
    SOON,
    VARIANTS,
    a_reserve,
    an_order,
    books,
    outcomes,
    told,
)

from livedrop.kit.ids import new_id
from livedrop.kit.refusals import Refusal
from livedrop.stock.books import Books, Head
from livedrop.stock.errors import (
    DropCancelled,
    DropEnded,
    DropNotFound,
    DropStarted,
    StockTaken,
    UnknownVariant,
    VariantRequired,
    WrongTimes,
)
from livedrop.stock.intents import CancelDrop, DropSettled, Edit, Publish, Settled

COMING: dict[str, Any] = {"starts_at": SOON}


def _edit(creator_id: Any = CREATOR, **changes: Any) -> Edit:
    return Edit(drop_id=DROP, creator_id=creator_id, **changes)


def _settled(book: Books, intent: Edit | Publish | CancelDrop) -> DropSettled:
    (result,) = outcomes(book, intent)
    if isinstance(result, Refusal):
        raise result
    assert isinstance(result, DropSettled)
    return result


def _refused(book: Books, intent: Edit | Publish | CancelDrop, refusal: type[Refusal]) -> None:
    before = msgspec.json.encode((list(book.heads.values()), list(book.lots[DROP].values())))
    with pytest.raises(refusal):
        _settled(book, intent)
    assert not book.changed
    assert msgspec.json.encode((list(book.heads.values()), list(book.lots[DROP].values()))) == before


# Editing


EVERYTHING: dict[str, Any] = {
    "title": "Another",
    "starts_at": SOON + timedelta(hours=1),
    "ends_at": LATE,
    "per_customer_limit": 3,
    "low_stock_threshold": 2,
    "hold_seconds": 30,
}


@pytest.mark.parametrize("head", [COMING, {"published": False}, {"published": False, **COMING}])
def test_everything_is_changed_before_the_start(head: dict[str, Any]) -> None:
    book = books(10, 20, **head)
    settled = _settled(book, _edit(**EVERYTHING, totals={VARIANTS[0]: 5, VARIANTS[1]: 50}))
    assert {name: getattr(settled.head, name) for name in EVERYTHING} == EVERYTHING
    assert [(lot.total, lot.available) for lot in settled.lots] == [(5, 5), (50, 50)]
    assert settled.head.version == 3, "it shows the drop as the batch left it, before its version"
    assert book.heads[DROP].version == 4
    assert told(book) == (["drop.updated", "stock.changed"] if settled.head.published else [])


def test_what_is_not_said_stays() -> None:
    book = books(10, ends_at=LATE, per_customer_limit=2, **COMING)
    before = msgspec.structs.asdict(book.heads[DROP])
    after = msgspec.structs.asdict(_settled(book, _edit(title="Another")).head)
    assert {name for name in before if before[name] != after[name]} == {"title", "seq"}


def test_end_and_limit_can_be_taken_away() -> None:
    book = books(10, ends_at=LATE, per_customer_limit=2, **COMING)
    head = _settled(book, _edit(ends_at=None, per_customer_limit=None)).head
    assert (head.ends_at, head.per_customer_limit) == (None, None)


@pytest.mark.parametrize("change", [name for name in EVERYTHING if name != "ends_at"])
def test_after_the_start_only_end_and_stock_are_changed(change: str) -> None:
    _refused(books(10, starts_at=NOW), _edit(**{change: EVERYTHING[change]}), DropStarted)
    # Nor in one edit with what is allowed.
    _refused(books(10, starts_at=NOW), _edit(totals={None: 11}, **{change: EVERYTHING[change]}), DropStarted)


def test_after_the_start_what_is_so_already_may_be_said() -> None:
    book = books(10)
    head = book.heads[DROP]
    same: dict[str, Any] = {name: getattr(head, name) for name in EVERYTHING if name != "ends_at"}
    assert _settled(book, _edit(**same, totals={None: 11})).lots[0].total == 11


@pytest.mark.parametrize(
    ("ends_at", "new", "refusal"),
    [
        (LATE, LATE + timedelta(seconds=1), None),
        (LATE, LATE, None),
        (LATE, None, None),
        (None, None, None),
        (LATE, SOON, DropStarted),
        (None, LATE, DropStarted),
        (NOW, LATE, DropEnded),
        (PAST + timedelta(minutes=1), None, DropEnded),
    ],
)
def test_after_the_start_the_end_is_only_put_off(
    ends_at: datetime | None, new: datetime | None, refusal: type[Refusal] | None
) -> None:
    book = books(10, ends_at=ends_at)
    if refusal is None:
        assert _settled(book, _edit(ends_at=new)).head.ends_at == new
    else:
        _refused(book, _edit(ends_at=new), refusal)


def test_after_the_start_stock_only_grows() -> None:
    assert _settled(books(10), _edit(totals={None: 11})).lots[0].available == 11
    assert _settled(books(10), _edit(totals={None: 10})).lots[0].available == 10
    _refused(books(10), _edit(totals={None: 9}), DropStarted)
    _refused(books(10, 10), _edit(totals={VARIANTS[0]: 20, VARIANTS[1]: 9}), DropStarted)
    _refused(books(10, ends_at=NOW), _edit(totals={None: 11}), DropEnded)


@pytest.mark.parametrize(
    "changes",
    [
        {"ends_at": SOON},
        {"ends_at": PAST},
        {"ends_at": NOW},
        {"starts_at": LATE + timedelta(seconds=1)},
        {"starts_at": PAST - timedelta(hours=1), "ends_at": NOW},
    ],
)
def test_a_drop_ends_after_it_starts_and_in_the_future(changes: dict[str, Any]) -> None:
    _refused(books(10, ends_at=LATE, **COMING), _edit(**changes), WrongTimes)


def test_a_start_in_the_past_makes_it_live_at_once() -> None:
    book = books(10, **COMING)
    edited, reserved = outcomes(book, _edit(starts_at=PAST), a_reserve())
    assert isinstance(edited, DropSettled)
    assert isinstance(reserved, Settled)


def test_stock_is_not_lowered_below_what_is_taken() -> None:
    """Before the start nothing is taken; the rule holds all the same."""
    taken = [an_order("reserved", 3), an_order("reserved", 1)]
    _refused(books(10, orders=taken, **COMING), _edit(totals={None: 3}), StockTaken)
    assert _settled(books(10, orders=taken, **COMING), _edit(totals={None: 4})).lots[0].available == 0


def test_stock_is_of_the_drops_own_variants() -> None:
    _refused(books(10, 10), _edit(totals={None: 11}), VariantRequired)
    _refused(books(10), _edit(totals={new_id(): 11}), UnknownVariant)


def test_a_cancelled_drop_is_not_changed() -> None:
    _refused(books(10, cancelled=True, **COMING), _edit(title="Another"), DropCancelled)
    _refused(books(10, cancelled=True), _edit(totals={None: 11}), DropCancelled)


def test_strangers_change_nothing() -> None:
    for intent in (
        _edit(OTHER, title="Mine"),
        Publish(drop_id=DROP, creator_id=OTHER),
        CancelDrop(drop_id=DROP, creator_id=OTHER),
    ):
        _refused(books(10, **COMING), intent, DropNotFound)


def test_units_that_come_are_reserved_in_the_same_batch() -> None:
    book = books(0)
    reserved, _ = outcomes(book, a_reserve(2), _edit(totals={None: 2}))
    assert isinstance(reserved, Settled)
    assert told(book) == ["drop.updated", "order.reserved", "stock.changed"]


def test_a_limit_that_comes_holds_in_the_same_batch() -> None:
    _, first, second = outcomes(
        books(10, **COMING), _edit(starts_at=PAST, per_customer_limit=1), a_reserve(), a_reserve()
    )
    assert isinstance(first, Settled)
    assert isinstance(second, Refusal)


# Publishing


@pytest.mark.parametrize("starts_at", [PAST, SOON])
def test_a_draft_is_published_once(starts_at: datetime) -> None:
    book = books(10, published=False, starts_at=starts_at, seq=0)
    publish = Publish(drop_id=DROP, creator_id=CREATOR)
    results = outcomes(book, publish, publish, a_reserve())
    assert [result.head.published for result in results if isinstance(result, DropSettled)] == [True, True]
    assert isinstance(results[2], Settled) == (starts_at is PAST)
    assert told(book)[0] == "drop.scheduled"
    assert told(book).count("drop.scheduled") == 1
    assert book.facts[DROP][0].seq == 1


def test_a_draft_edited_and_published_in_one_batch_is_scheduled_first() -> None:
    book = books(10, published=False, seq=0)
    outcomes(book, _edit(totals={None: 20}), Publish(drop_id=DROP, creator_id=CREATOR))
    assert told(book) == ["drop.scheduled", "stock.changed"]


def test_what_is_over_or_cancelled_is_not_published() -> None:
    publish = Publish(drop_id=DROP, creator_id=CREATOR)
    _refused(books(10, published=False, ends_at=NOW), publish, DropEnded)
    _refused(books(10, published=False, cancelled=True), publish, DropCancelled)


# Cancelling


def test_a_drop_is_cancelled_once_and_sells_nothing_more() -> None:
    book = books(10)
    cancel = CancelDrop(drop_id=DROP, creator_id=CREATOR)
    reserved, *cancelled = outcomes(book, a_reserve(), cancel, cancel)
    assert isinstance(reserved, DropCancelled)
    assert all(isinstance(result, DropSettled) and result.head.cancelled for result in cancelled)
    assert told(book) == ["drop.cancelled"]


def test_a_cancelled_draft_tells_nobody() -> None:
    book = books(10, published=False, seq=0)
    head: Head = _settled(book, CancelDrop(drop_id=DROP, creator_id=CREATOR)).head
    assert head.cancelled
    assert told(book) == []
    assert book.heads[DROP].version == 4
