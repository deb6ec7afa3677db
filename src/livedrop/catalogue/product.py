"""A product and its variants: as the catalogue knows them, as bodies bring them, as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from livedrop.kit.clock import rfc3339
from livedrop.kit.money import CURRENCIES
from livedrop.web.fields import SAYS_SOMETHING, TEXT, LongText, PriceMinor, SaidMoment, Title, Url

VARIANTS_MAX = 100
TAGS_MAX = 20
ATTRIBUTES_MAX = 50
# Whole numbers up to here are exact in every JSON reader (RFC 8259 §6).
NUMBER_MAX = 2**53 - 1

Sku = Annotated[str, Meta(min_length=1, max_length=100, pattern=SAYS_SOMETHING)]
CurrencyCode = Annotated[
    str,
    Meta(
        pattern="^[A-Z]{3}$",
        description="An active code of ISO 4217.",
        extra_json_schema={"enum": sorted(CURRENCIES)},
    ),
]
Tag = Annotated[str, Meta(min_length=1, max_length=50, pattern=SAYS_SOMETHING)]
Tags = Annotated[list[Tag], Meta(max_length=TAGS_MAX)]
AttributeName = Annotated[str, Meta(min_length=1, max_length=100, pattern=SAYS_SOMETHING)]
AttributeValue: TypeAlias = (
    Annotated[str, Meta(max_length=1_000, pattern=TEXT)]
    | Annotated[int, Meta(ge=-NUMBER_MAX, le=NUMBER_MAX)]
    | Annotated[float, Meta(ge=-NUMBER_MAX, le=NUMBER_MAX)]
    | bool
)
Attributes = Annotated[dict[AttributeName, AttributeValue], Meta(max_length=ATTRIBUTES_MAX)]


class Variant(msgspec.Struct, frozen=True):
    """One form of a product that can be sold; `price_minor` null: the product's."""

    id: UUID
    sku: str
    name: str
    price_minor: int | None


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What a creator says of a product."""

    title: str
    description: str | None
    price_minor: int
    currency: str
    image_url: str | None
    tags: tuple[str, ...]
    attributes: dict[str, AttributeValue]


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A product with its live variants, in the creator's order; there is always one at least."""

    id: UUID
    creator_id: UUID
    details: Details
    variants: tuple[Variant, ...]
    archived: bool
    created_at: datetime


class NewVariant(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A variant to be; `price_minor` null or left out: the product's."""

    sku: Sku
    name: Title
    price_minor: PriceMinor | None = None


class NewProduct(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A product to be; without variants it gets one, named "Default"."""

    title: Title
    price_minor: PriceMinor
    currency: CurrencyCode
    description: LongText | None = None
    image_url: Url | None = None
    tags: Tags = []
    attributes: Attributes = {}
    variants: Annotated[list[NewVariant], Meta(max_length=VARIANTS_MAX)] = []


class VariantWanted(NewVariant, forbid_unknown_fields=True, kw_only=True):
    """A variant as it shall be; with the `id` of a present one it stays that one."""

    id: UUID | None = None


class ProductChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What shall change; what is left out stays. `variants` is the whole new set: those missing are retired."""

    title: Title | UnsetType = UNSET
    price_minor: PriceMinor | UnsetType = UNSET
    currency: CurrencyCode | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    image_url: Url | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    attributes: Attributes | UnsetType = UNSET
    variants: Annotated[list[VariantWanted], Meta(min_length=1, max_length=VARIANTS_MAX)] | UnsetType = UNSET


class ProductShown(msgspec.Struct, frozen=True, kw_only=True):
    """A product as anybody sees it."""

    id: UUID
    creator_id: UUID
    title: str
    description: str | None
    price_minor: int
    currency: str
    image_url: str | None
    tags: tuple[str, ...]
    attributes: dict[str, str | int | float | bool]
    variants: tuple[Variant, ...]
    archived: bool
    created_at: SaidMoment


def shown(product: Product) -> ProductShown:
    details = product.details
    return ProductShown(
        id=product.id,
        creator_id=product.creator_id,
        title=details.title,
        description=details.description,
        price_minor=details.price_minor,
        currency=details.currency,
        image_url=details.image_url,
        tags=details.tags,
        attributes=details.attributes,
        variants=product.variants,
        archived=product.archived,
        created_at=rfc3339(product.created_at),
    )
