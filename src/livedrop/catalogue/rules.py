"""What a product may be: pure decisions from a body to the product as it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec import UNSET

from livedrop.catalogue.errors import ProductArchived
from livedrop.catalogue.product import (
    Details,
    NewProduct,
    NewVariant,
    Product,
    ProductChange,
    Variant,
    VariantWanted,
)
from livedrop.kit.ids import new_id
from livedrop.kit.money import CURRENCIES
from livedrop.kit.refusals import Forbidden, InvalidFields
from livedrop.kit.words import folded

DEFAULT_VARIANT = "Default"


def details_of(body: NewProduct) -> Details:
    """The details of a new product; raises `InvalidFields`."""
    return Details(
        title=body.title.strip(),
        description=body.description,
        price_minor=body.price_minor,
        currency=known_currency(body.currency),
        image_url=body.image_url and body.image_url.strip(),
        tags=normal_tags(body.tags),
        attributes=body.attributes,
    )


def details_after(present: Details, change: ProductChange) -> Details:
    """The details with the change made; raises `InvalidFields`."""
    return Details(
        title=present.title if change.title is UNSET else change.title.strip(),
        description=present.description if change.description is UNSET else change.description,
        price_minor=present.price_minor if change.price_minor is UNSET else change.price_minor,
        currency=present.currency if change.currency is UNSET else known_currency(change.currency),
        image_url=present.image_url if change.image_url is UNSET else change.image_url and change.image_url.strip(),
        tags=present.tags if change.tags is UNSET else normal_tags(change.tags),
        attributes=present.attributes if change.attributes is UNSET else change.attributes,
    )


def new_variants(product_id: UUID, bodies: Sequence[NewVariant]) -> tuple[Variant, ...]:
    """The variants of a new product: those given, or the one that every product has."""
    if not bodies:
        return (Variant(new_id(), generated_sku(product_id), DEFAULT_VARIANT, None),)
    return tuple(_variant(new_id(), body) for body in bodies)


def variants_after(present: Sequence[Variant], wanted: Sequence[VariantWanted]) -> tuple[Variant, ...]:
    """The new set: a variant with the id of a present one stays that one; raises `InvalidFields` for other ids."""
    unclaimed = {variant.id for variant in present}
    after = []
    for place, body in enumerate(wanted):
        if body.id is not None:
            if body.id not in unclaimed:
                raise InvalidFields((f"variants.{place}.id", "this product has no such variant, or it comes twice"))
            unclaimed.remove(body.id)
        after.append(_variant(body.id or new_id(), body))
    return tuple(after)


def generated_sku(product_id: UUID) -> str:
    """A SKU for the only variant of a product: 12 of the id's random digits, fit for a label."""
    return f"P-{product_id.hex[-12:].upper()}"


def normal_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags in lower case, without spaces around and odd ones within, each once, in the order given."""
    return tuple(dict.fromkeys(normal_tag(tag) for tag in tags))


def normal_tag(tag: str) -> str:
    return " ".join(tag.lower().split())


def known_currency(code: str) -> str:
    if code not in CURRENCIES:
        raise InvalidFields(("currency", f"{code} is not an active currency code of ISO 4217"))
    return code


def searched_text(details: Details) -> str:
    """The text that `q` looks into: title, description and tags."""
    return folded(details.title, details.description, *details.tags)


def require_owner(product: Product, user_id: UUID) -> None:
    if product.creator_id != user_id:
        raise Forbidden("Only its creator may do this to a product.")


def require_changeable(product: Product) -> None:
    if product.archived:
        raise ProductArchived


def _variant(variant_id: UUID, body: NewVariant) -> Variant:
    return Variant(variant_id, body.sku.strip(), body.name.strip(), body.price_minor)
