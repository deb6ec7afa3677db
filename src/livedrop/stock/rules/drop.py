"""Changing a drop: everything before it starts, little afterwards."""

from __future__ import annotations

from uuid import UUID

from msgspec import UNSET

from livedrop.events import DropCancelled as DropCancelledFact
from livedrop.events import DropScheduled, DropUpdated
from livedrop.kit.clock import rfc3339, rfc3339_or_none
from livedrop.kit.ids import new_id
from livedrop.stock.books import Books, Head, Lot
from livedrop.stock.errors import (
    DropCancelled,
    DropEnded,
    DropStarted,
    StockTaken,
    UnknownVariant,
    VariantRequired,
    WrongTimes,
)
from livedrop.stock.intents import Edit
from livedrop.stock.rules.facts import tell

_ONLY_BEFORE_THE_START = ("title", "starts_at", "per_customer_limit", "low_stock_threshold", "hold_seconds")


def edit(books: Books, head: Head, intent: Edit) -> None:
    """Applies the whole edit, or refuses all of it."""
    if head.cancelled:
        raise DropCancelled
    started = head.published and books.now >= head.starts_at
    if started:
        _check_after_start(books, head, intent)
    starts_at = head.starts_at if intent.starts_at is UNSET else intent.starts_at
    ends_at = head.ends_at if intent.ends_at is UNSET else intent.ends_at
    if ends_at is not None and (ends_at <= starts_at or (intent.ends_at is not UNSET and ends_at <= books.now)):
        raise WrongTimes
    totals = [] if intent.totals is UNSET else _new_totals(books, head, intent.totals, only_more=started)

    head.starts_at, head.ends_at = starts_at, ends_at
    if intent.title is not UNSET:
        head.title = intent.title
    if intent.per_customer_limit is not UNSET:
        head.per_customer_limit = intent.per_customer_limit
    if intent.low_stock_threshold is not UNSET:
        head.low_stock_threshold = intent.low_stock_threshold
    if intent.hold_seconds is not UNSET:
        head.hold_seconds = intent.hold_seconds
    for lot, total in totals:
        lot.available += total - lot.total
        lot.total = total
        books.change_lot(lot)
    books.change_head(head)
    if head.published:
        tell(books, head, _described(head, DropUpdated))


def publish(books: Books, head: Head) -> None:
    """A draft goes public; publishing twice is fine."""
    if head.cancelled:
        raise DropCancelled
    if head.published:
        return
    if head.ends_at is not None and head.ends_at <= books.now:
        raise DropEnded("Its end has passed; set a later one first.")
    head.published = True
    tell(books, head, _described(head, DropScheduled))


def cancel(books: Books, head: Head) -> None:
    """Nothing more is sold; cancelling twice is fine."""
    if head.cancelled:
        return
    head.cancelled = True
    books.change_head(head)
    if head.published:
        tell(books, head, DropCancelledFact(id=new_id(), seq=0))


def _check_after_start(books: Books, head: Head, intent: Edit) -> None:
    for name in _ONLY_BEFORE_THE_START:
        # Saying what is so already is fine: an edit that made the drop start may be settled again.
        if getattr(intent, name) not in (UNSET, getattr(head, name)):
            raise DropStarted
    if head.ends_at is not None and books.now >= head.ends_at:
        raise DropEnded
    if intent.ends_at is UNSET or intent.ends_at is None:
        return
    if head.ends_at is None or intent.ends_at < head.ends_at:
        raise DropStarted("Once a drop has started, its end can only be put off.")


def _new_totals(
    books: Books, head: Head, totals: dict[UUID | None, int], *, only_more: bool
) -> list[tuple[Lot, int]]:
    lots = books.lots[head.drop_id]
    chosen = []
    for variant_id, total in totals.items():
        if variant_id is None and len(lots) != 1:
            raise VariantRequired
        lot = next(iter(lots.values())) if variant_id is None else lots.get(variant_id)
        if lot is None:
            raise UnknownVariant
        if only_more and total < lot.total:
            raise DropStarted("Once a drop has started, its stock can only grow.")
        taken = lot.reserved + lot.sold
        if total < taken:
            raise StockTaken(lot.variant_id, taken)
        chosen.append((lot, total))
    return chosen


def _described(head: Head, kind: type[DropScheduled] | type[DropUpdated]) -> DropScheduled | DropUpdated:
    return kind(
        id=new_id(),
        seq=0,
        title=head.title,
        starts_at=rfc3339(head.starts_at),
        ends_at=rfc3339_or_none(head.ends_at),
    )
