"""What a drop may be, and in which phase it is: pure decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from msgspec import UNSET, UnsetType

from livedrop.catalogue import ProductArchived, ProductForDrop, ProductShown, VariantForDrop
from livedrop.drops.drop import DropChange, NewDrop, Phase
from livedrop.kit.refusals import Forbidden, InvalidFields
from livedrop.kit.words import folded
from livedrop.stock import Edit, Head, Lot
from livedrop.stock.errors import DropNotFound, UnknownVariant, VariantRequired, WrongTimes

# A start outside of these is a slip of the keyboard.
STARTS_AT_MIN = datetime(2000, 1, 1, tzinfo=UTC)
STARTS_AHEAD_MAX = timedelta(days=5 * 366)
ENDS_AHEAD_MAX = timedelta(days=10 * 366)
DEFAULT_THRESHOLD_MAX = 100


def phase(
    now: datetime, published: bool, cancelled: bool, starts_at: datetime, ends_at: datetime | None, available: int
) -> Phase:
    """Where a drop stands at this moment; never stored. The till refuses orders in the same order of reasons."""
    if cancelled:
        return "cancelled"
    if not published:
        return "draft"
    if now < starts_at:
        return "scheduled"
    if ends_at is not None and now >= ends_at:
        return "ended"
    return "live" if available > 0 else "sold_out"


def phase_of(head: Head, available: int, now: datetime) -> Phase:
    return phase(now, head.published, head.cancelled, head.starts_at, head.ends_at, available)


def next_turn(head: Head, now: datetime) -> datetime | None:
    """When the clock alone will take the drop into another phase, or None where it won't any more."""
    if now < head.starts_at:
        return head.starts_at
    return head.ends_at if head.ends_at is not None and now < head.ends_at else None


def require_owner(creator_id: UUID, published: bool, user_id: UUID) -> None:
    """Refuses whoever is not the drop's creator; strangers don't learn that a draft exists."""
    if creator_id != user_id:
        raise Forbidden("Only its creator may change a drop.") if published else DropNotFound


def require_visible(creator_id: UUID, published: bool, viewer_id: UUID | None) -> None:
    """What was never published is its creator's alone."""
    if not published and creator_id != viewer_id:
        raise DropNotFound


def require_offer(product: ProductForDrop, user_id: UUID) -> None:
    """Only one's own product can be dropped, and only while it is on offer."""
    if product.creator_id != user_id:
        raise Forbidden("Only its creator may schedule a drop of a product.")
    if product.archived:
        raise ProductArchived


def new_head(drop_id: UUID, product: ProductForDrop, body: NewDrop, hold_seconds: int, now: datetime) -> Head:
    """The head of a new drop; raises `InvalidFields`, `WrongTimes`."""
    starts_at, ends_at = start_moment(body.starts_at, now), end_moment(body.ends_at, now)
    if ends_at is not None and (ends_at <= starts_at or ends_at <= now):
        raise WrongTimes
    return Head(
        drop_id=drop_id,
        creator_id=product.creator_id,
        product_id=product.id,
        title=product.shown.title if body.title is None else body.title.strip(),
        published=not body.draft,
        starts_at=starts_at,
        ends_at=ends_at,
        cancelled=False,
        per_customer_limit=body.per_customer_limit,
        hold_seconds=hold_seconds if body.hold_seconds is None else body.hold_seconds,
        low_stock_threshold=_default_threshold(body.stock)
        if body.low_stock_threshold is None
        else body.low_stock_threshold,
        seq=0,
        version=1,
        orders_placed=0,
    )


def new_lots(drop_id: UUID, product: ProductForDrop, stock: int | Mapping[UUID, int]) -> list[Lot]:
    """The lots of a new drop, in the product's order, at the variants' present prices.

    Raises `VariantRequired`, `UnknownVariant`.
    """
    return [
        Lot(
            drop_id=drop_id,
            variant_id=variant.id,
            position=position,
            sku=variant.sku,
            name=variant.name,
            unit_price_minor=variant.price_minor,
            currency=product.currency,
            total=units,
            available=units,
            reserved=0,
            sold=0,
        )
        for position, (variant, units) in enumerate(stocked(product.variants, stock))
    ]


def stocked(variants: Sequence[VariantForDrop], stock: int | Mapping[UUID, int]) -> list[tuple[VariantForDrop, int]]:
    """Which variants are sold, and how many units of each."""
    if isinstance(stock, int):
        if len(variants) != 1:
            raise VariantRequired("This product has several variants; say how many units of which.")
        return [(variants[0], stock)]
    unknown = stock.keys() - {variant.id for variant in variants}
    if unknown:
        raise UnknownVariant(f"This product has no variant {min(unknown)}.")
    return [(variant, stock[variant.id]) for variant in variants if variant.id in stock]


def edit_of(drop_id: UUID, creator_id: UUID, body: DropChange, now: datetime) -> Edit:
    """The till's intent for this change; raises `InvalidFields`."""
    return Edit(
        drop_id=drop_id,
        creator_id=creator_id,
        title=UNSET if body.title is UNSET else body.title.strip(),
        starts_at=UNSET if body.starts_at is UNSET else start_moment(body.starts_at, now),
        ends_at=UNSET if body.ends_at is UNSET else end_moment(body.ends_at, now),
        per_customer_limit=body.per_customer_limit,
        low_stock_threshold=body.low_stock_threshold,
        hold_seconds=body.hold_seconds,
        totals=_totals(body.stock),
    )


def changes_nothing(body: DropChange) -> bool:
    return all(getattr(body, name) is UNSET for name in body.__struct_fields__)


def searched_text(title: str, product: ProductShown) -> str:
    """The text that `q` looks into: the drop's title, and its product's title, description and tags."""
    return folded(title, product.title, product.description, *product.tags)


def start_moment(moment: datetime, now: datetime) -> datetime:
    return _moment("starts_at", moment, now + STARTS_AHEAD_MAX)


def end_moment(moment: datetime | None, now: datetime) -> datetime | None:
    return None if moment is None else _moment("ends_at", moment, now + ENDS_AHEAD_MAX)


def _moment(field: str, moment: datetime, latest: datetime) -> datetime:
    """In UTC and cut to the milliseconds that the API says, so that what is shown is what holds."""
    if not STARTS_AT_MIN <= moment <= latest:
        raise InvalidFields((field, f"must lie between {STARTS_AT_MIN:%Y-%m-%d} and {latest:%Y-%m-%d}"))
    cut = moment.astimezone(UTC)
    return cut.replace(microsecond=cut.microsecond // 1000 * 1000)


def _default_threshold(stock: int | Mapping[UUID, int]) -> int:
    total = stock if isinstance(stock, int) else sum(stock.values())
    return min(-(-total // 10), DEFAULT_THRESHOLD_MAX)


def _totals(stock: int | Mapping[UUID, int] | UnsetType) -> dict[UUID | None, int] | UnsetType:
    if stock is UNSET:
        return UNSET
    if isinstance(stock, int):
        return {None: stock}
    return {variant_id: units for variant_id, units in stock.items()}  # noqa: C416 - dict(stock) has other keys
