"""A drop: as the slice knows it, as bodies bring it, as the API shows it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from livedrop.catalogue import ProductShown
from livedrop.follows import CreatorCard
from livedrop.kit.clock import rfc3339, rfc3339_or_none
from livedrop.stock import Head, Lot
from livedrop.web.fields import Moment, SaidMoment, Stock, Title

LOTS_MAX = 100
INTEGER_MAX = 2**31 - 1
HOLD_SECONDS_MAX = 86_400

Phase: TypeAlias = Literal["draft", "scheduled", "live", "sold_out", "ended", "cancelled"]

CustomerLimit = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]
Threshold = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
HoldSeconds = Annotated[int, Meta(ge=1, le=HOLD_SECONDS_MAX)]
StockOfVariants = Annotated[
    dict[UUID, Stock], Meta(min_length=1, max_length=LOTS_MAX, description="Units by the variant's id.")
]


class NewDrop(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A drop to be. `stock`: a number where the product has one variant; variants left out are not sold.

    What is left out: `title` is the product's, there is no end and no limit per customer,
    `low_stock_threshold` is a tenth of the stock, rounded up, at most 100, and `hold_seconds` is the server's.
    """

    product_id: UUID
    starts_at: Moment
    stock: Stock | StockOfVariants
    title: Title | None = None
    ends_at: Moment | None = None
    per_customer_limit: CustomerLimit | None = None
    low_stock_threshold: Threshold | None = None
    hold_seconds: HoldSeconds | None = None
    draft: bool = False


class DropChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What shall change; what is left out stays. `stock` is the new total of the variants that it names.

    `ends_at` null: no end; `per_customer_limit` null: no limit.
    """

    title: Title | UnsetType = UNSET
    starts_at: Moment | UnsetType = UNSET
    ends_at: Moment | UnsetType | None = UNSET
    stock: Stock | StockOfVariants | UnsetType = UNSET
    per_customer_limit: CustomerLimit | UnsetType | None = UNSET
    low_stock_threshold: Threshold | UnsetType = UNSET
    hold_seconds: HoldSeconds | UnsetType = UNSET


class Drop(msgspec.Struct, frozen=True):
    """A drop at one moment: its head, its lots in order, and its product as it was when it was scheduled."""

    head: Head
    lots: tuple[Lot, ...]
    product: ProductShown

    @property
    def available(self) -> int:
        return sum(lot.available for lot in self.lots)


class LotShown(msgspec.Struct, frozen=True, kw_only=True):
    """The units of one variant: available + reserved + sold = total."""

    variant_id: UUID
    sku: str
    name: str
    price_minor: int
    currency: str
    total: int
    available: int
    reserved: int
    sold: int


class DropShown(msgspec.Struct, frozen=True, kw_only=True):
    """A drop as anybody sees it; `version` grows with every change, `available` is the sum over its lots."""

    id: UUID
    creator: CreatorCard
    product: ProductShown
    title: str
    phase: Phase
    starts_at: SaidMoment
    ends_at: SaidMoment | None
    per_customer_limit: int | None
    low_stock_threshold: int
    hold_seconds: int
    lots: tuple[LotShown, ...]
    available: int
    version: int


class StockShown(msgspec.Struct, frozen=True, kw_only=True):
    """A drop's stock: the sums over its lots, and each lot."""

    available: int
    reserved: int
    sold: int
    total: int
    lots: tuple[LotShown, ...]
    version: int


class BuyerShown(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who bought."""

    name: str
    quantity: int
    at: SaidMoment


def shown(drop: Drop, creator: CreatorCard, phase: Phase) -> DropShown:
    head = drop.head
    return DropShown(
        id=head.drop_id,
        creator=creator,
        product=drop.product,
        title=head.title,
        phase=phase,
        starts_at=rfc3339(head.starts_at),
        ends_at=rfc3339_or_none(head.ends_at),
        per_customer_limit=head.per_customer_limit,
        low_stock_threshold=head.low_stock_threshold,
        hold_seconds=head.hold_seconds,
        lots=_lots(drop),
        available=drop.available,
        version=head.version,
    )


def stock_shown(drop: Drop) -> StockShown:
    return StockShown(
        available=drop.available,
        reserved=sum(lot.reserved for lot in drop.lots),
        sold=sum(lot.sold for lot in drop.lots),
        total=sum(lot.total for lot in drop.lots),
        lots=_lots(drop),
        version=drop.head.version,
    )


def _lots(drop: Drop) -> tuple[LotShown, ...]:
    return tuple(
        LotShown(
            variant_id=lot.variant_id,
            sku=lot.sku,
            name=lot.name,
            price_minor=lot.unit_price_minor,
            currency=lot.currency,
            total=lot.total,
            available=lot.available,
            reserved=lot.reserved,
            sold=lot.sold,
        )
        for lot in drop.lots
    )
