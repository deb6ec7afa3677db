"""In which phase a drop is, and what its stock may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livedrop.catalogue import VariantForDrop
from livedrop.drops import rules
from livedrop.drops.drop import Phase
from livedrop.kit.ids import new_id
from livedrop.kit.refusals import InvalidFields
from livedrop.stock import Head
from livedrop.stock.errors import UnknownVariant, VariantRequired

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
MOMENTS = st.integers(-5, 5).map(lambda hours: NOON + hours * HOUR)


def head(
    starts_at: datetime, ends_at: datetime | None = None, *, published: bool = True, cancelled: bool = False
) -> Head:
    return Head(
        drop_id=new_id(),
        creator_id=new_id(),
        product_id=new_id(),
        title="Drop",
        published=published,
        starts_at=starts_at,
        ends_at=ends_at,
        cancelled=cancelled,
        per_customer_limit=None,
        hold_seconds=60,
        low_stock_threshold=0,
        seq=0,
        version=1,
        orders_placed=0,
    )


@pytest.mark.parametrize(
    ("now", "available", "expected"),
    [
        (NOON - SECOND, 1, "scheduled"),
        (NOON - SECOND, 0, "scheduled"),
        (NOON, 1, "live"),
        (NOON, 0, "sold_out"),
        (NOON + HOUR - SECOND, 1, "live"),
        (NOON + HOUR, 1, "ended"),
        (NOON + HOUR, 0, "ended"),
    ],
)
def test_the_clock_and_the_stock_make_the_phase(now: datetime, available: int, expected: Phase) -> None:
    assert rules.phase(now, True, False, NOON, NOON + HOUR, available) == expected
    # A draft has none of these, and cancelling ends them all.
    assert rules.phase(now, False, False, NOON, NOON + HOUR, available) == "draft"
    assert rules.phase(now, True, True, NOON, NOON + HOUR, available) == "cancelled"
    assert rules.phase(now, False, True, NOON, NOON + HOUR, available) == "cancelled"


def test_without_an_end_it_goes_on() -> None:
    assert rules.phase(NOON + 10_000 * HOUR, True, False, NOON, None, 1) == "live"


@given(now=MOMENTS, starts_at=MOMENTS, length=st.none() | st.integers(1, 5), available=st.integers(0, 1))
def test_between_two_turns_nothing_changes(
    now: datetime, starts_at: datetime, length: int | None, available: int
) -> None:
    drop = head(starts_at, None if length is None else starts_at + length * HOUR)
    turn = rules.next_turn(drop, now)
    before = rules.phase_of(drop, available, now)
    if turn is None:
        assert rules.phase_of(drop, available, now + 100 * HOUR) == before
    else:
        assert turn > now
        assert rules.phase_of(drop, available, turn - SECOND) == before
        assert rules.phase_of(drop, available, turn) != before


def variant(name: str) -> VariantForDrop:
    return VariantForDrop(id=new_id(), sku=name, name=name, price_minor=100)


@given(st.lists(st.none() | st.integers(1, 9), min_size=1, max_size=6))
def test_each_variant_that_is_named_gets_its_units(units: list[int | None]) -> None:
    variants = [variant(str(place)) for place in range(len(units))]
    wanted = {
        one.id: count for one, count in zip(reversed(variants), reversed(units), strict=True) if count is not None
    }
    stocked = rules.stocked(variants, wanted)
    assert [one.sku for one, _ in stocked] == [str(place) for place, count in enumerate(units) if count is not None]
    assert {one.id: count for one, count in stocked} == wanted


def test_a_number_is_for_the_only_variant() -> None:
    small, large = variant("S"), variant("L")
    assert rules.stocked([small], 5) == [(small, 5)]
    with pytest.raises(VariantRequired):
        rules.stocked([small, large], 5)
    with pytest.raises(UnknownVariant):
        rules.stocked([small], {small.id: 1, UUID(int=1): 1})


def test_moments_are_cut_to_milliseconds_and_bounded() -> None:
    given_moment = datetime(2026, 5, 1, 14, 0, 0, 123_999, tzinfo=UTC)
    assert rules.start_moment(given_moment, NOON) == given_moment.replace(microsecond=123_000)
    assert rules.end_moment(None, NOON) is None
    assert rules.start_moment(NOON + rules.STARTS_AHEAD_MAX, NOON)
    assert rules.end_moment(NOON + rules.ENDS_AHEAD_MAX, NOON)
    with pytest.raises(InvalidFields):
        rules.start_moment(NOON + rules.STARTS_AHEAD_MAX + SECOND, NOON)
    with pytest.raises(InvalidFields):
        rules.end_moment(NOON + rules.ENDS_AHEAD_MAX + SECOND, NOON)
    with pytest.raises(InvalidFields):
        rules.end_moment(rules.STARTS_AT_MIN - SECOND, NOON)
