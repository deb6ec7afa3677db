"""The catalogue's SQL."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from livedrop.catalogue.errors import SkuTaken
from livedrop.catalogue.product import AttributeValue, Details, Product, Variant
from livedrop.kit.database import Connection, Record

Sort: TypeAlias = Literal["new", "price", "-price"]

# One statement, so one snapshot: a product never comes with the variants of another moment.
_PRODUCT = """
SELECT p.id, p.creator_id, p.title, p.description, p.price_minor, p.currency, p.image_url, p.tags, p.attributes,
       p.archived, p.created_at, (
           SELECT json_agg(json_build_object('id', v.id, 'sku', v.sku, 'name', v.name, 'price_minor', v.price_minor)
                           ORDER BY v.position)
           FROM variants v WHERE v.product_id = p.id AND NOT v.retired
       ) AS variants
FROM products p
"""

_INSERT = """
INSERT INTO products (id, creator_id, title, description, price_minor, currency, image_url, tags, attributes, search)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

_UPDATE = """
UPDATE products SET title = $2, description = $3, price_minor = $4, currency = $5, image_url = $6, tags = $7,
    attributes = $8, search = $9, updated_at = clock_timestamp()
WHERE id = $1
"""

_ARCHIVE = "UPDATE products SET archived = true, updated_at = clock_timestamp() WHERE id = $1"
_ARCHIVE_VARIANTS = "UPDATE variants SET archived = true WHERE product_id = $1"

# All are retired first, so that two variants may swap their SKUs.
_RETIRE_VARIANTS = "UPDATE variants SET retired = true WHERE product_id = $1 AND NOT retired"
_WRITE_VARIANTS = """
INSERT INTO variants (id, product_id, creator_id, sku, name, price_minor, position)
SELECT v.id, $1, $2, v.sku, v.name, v.price_minor, v.position
FROM unnest($3::uuid[], $4::text[], $5::text[], $6::bigint[]) WITH ORDINALITY
    AS v (id, sku, name, price_minor, position)
ON CONFLICT (id) DO UPDATE SET sku = excluded.sku, name = excluded.name, price_minor = excluded.price_minor,
    position = excluded.position, retired = false
"""

# What counts as the same SKU is what the unique index says, so PostgreSQL compares, within the body too.
_TAKEN_SKUS = """
WITH wanted AS (SELECT place, lower(sku) AS sku FROM unnest($3::text[]) WITH ORDINALITY AS w (sku, place))
SELECT place - 1 FROM wanted
WHERE EXISTS (SELECT 1 FROM wanted earlier WHERE earlier.sku = wanted.sku AND earlier.place < wanted.place)
   OR EXISTS (SELECT 1 FROM variants v WHERE v.creator_id = $1 AND lower(v.sku) = wanted.sku
                AND NOT (v.retired OR v.archived) AND v.product_id <> $2)
ORDER BY place
"""

_ORDER: dict[Sort, str] = {
    "new": "p.id DESC",
    "price": "p.price_minor, p.id",
    "-price": "p.price_minor DESC, p.id DESC",
}
_AFTER: dict[Sort, str] = {
    "new": "(p.id) < ({})",
    "price": "(p.price_minor, p.id) > ({}, {})",
    "-price": "(p.price_minor, p.id) < ({}, {})",
}


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """Which products a list holds; `patterns` must all be found in the searched text."""

    creator_id: UUID | None = None
    patterns: tuple[str, ...] = ()
    tag: str | None = None
    price_min: int | None = None
    price_max: int | None = None
    archived: bool = False


async def lock_catalogue(tx: Connection, creator_id: UUID) -> None:
    """Lets one transaction at a time write into a creator's catalogue, so that its SKUs can be compared."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('catalogue ' || $1::text, 0))", str(creator_id))


async def product(connection: Connection, product_id: UUID) -> Product | None:
    row = await connection.fetchrow(_PRODUCT + "WHERE p.id = $1", product_id)
    return None if row is None else _product(row)


async def lock_and_read(tx: Connection, product_id: UUID, *, share: bool) -> Product | None:
    """The product, locked against changes (`share`) or for one. Read after the lock: a row's lock may wait."""
    strength = "SHARE" if share else "NO KEY UPDATE"
    await tx.execute(f"SELECT 1 FROM products WHERE id = $1 FOR {strength}", product_id)
    return await product(tx, product_id)


async def page(
    connection: Connection, filters: Filters, sort: Sort, start: tuple[Any, ...] | None, *, offset: int, limit: int
) -> list[Product]:
    """At most `limit` products in order, from behind the sort key `start`."""
    arguments: list[Any] = []

    def place(argument: Any) -> str:
        arguments.append(argument)
        return f"${len(arguments)}"

    conditions = ["p.archived" if filters.archived else "NOT p.archived"]
    if filters.creator_id is not None:
        conditions.append(f"p.creator_id = {place(filters.creator_id)}")
    if filters.patterns:
        conditions.append(f"p.search LIKE ALL ({place(list(filters.patterns))}::text[])")
    if filters.tag is not None:
        conditions.append(f"p.tags @> ARRAY[{place(filters.tag)}]::text[]")
    if filters.price_min is not None:
        conditions.append(f"p.price_minor >= {place(filters.price_min)}")
    if filters.price_max is not None:
        conditions.append(f"p.price_minor <= {place(filters.price_max)}")
    if start is not None:
        conditions.append(_AFTER[sort].format(*map(place, start)))
    rows = await connection.fetch(
        f"{_PRODUCT}WHERE {' AND '.join(conditions)}\n"
        f"ORDER BY {_ORDER[sort]} OFFSET {place(offset)} LIMIT {place(limit)}",
        *arguments,
    )
    return [_product(row) for row in rows]


async def require_free_skus(
    tx: Connection, creator_id: UUID, product_id: UUID, variants: tuple[Variant, ...]
) -> None:
    """Refuses SKUs that come twice or that another product of the creator has; under the catalogue's lock."""
    skus = [variant.sku for variant in variants]
    taken = [row[0] for row in await tx.fetch(_TAKEN_SKUS, creator_id, product_id, skus)]
    if taken:
        raise SkuTaken(*taken)


async def insert(tx: Connection, product_id: UUID, creator_id: UUID, details: Details, search: str) -> None:
    await tx.execute(_INSERT, product_id, creator_id, *_written(details, search))


async def update(tx: Connection, product_id: UUID, details: Details, search: str) -> None:
    await tx.execute(_UPDATE, product_id, *_written(details, search))


async def write_variants(tx: Connection, product_id: UUID, creator_id: UUID, variants: tuple[Variant, ...]) -> None:
    """Makes these the product's live variants; all others are retired."""
    await tx.execute(_RETIRE_VARIANTS, product_id)
    try:
        await tx.execute(
            _WRITE_VARIANTS,
            product_id,
            creator_id,
            [variant.id for variant in variants],
            [variant.sku for variant in variants],
            [variant.name for variant in variants],
            [variant.price_minor for variant in variants],
        )
    except asyncpg.UniqueViolationError:  # the schema's own guard, behind `require_free_skus`
        raise SkuTaken from None


async def archive(tx: Connection, product_id: UUID) -> None:
    """Takes the product out of the lists; its SKUs are free again, its variants stay to be looked at."""
    await tx.execute(_ARCHIVE, product_id)
    await tx.execute(_ARCHIVE_VARIANTS, product_id)


def _written(details: Details, search: str) -> tuple[Any, ...]:
    return (
        details.title,
        details.description,
        details.price_minor,
        details.currency,
        details.image_url,
        list(details.tags),
        msgspec.json.encode(details.attributes).decode(),
        search,
    )


def _product(row: Record) -> Product:
    return Product(
        id=row["id"],
        creator_id=row["creator_id"],
        details=Details(
            title=row["title"],
            description=row["description"],
            price_minor=row["price_minor"],
            currency=row["currency"],
            image_url=row["image_url"],
            tags=tuple(row["tags"]),
            attributes=msgspec.json.decode(row["attributes"], type=dict[str, AttributeValue]),
        ),
        variants=msgspec.json.decode(row["variants"], type=tuple[Variant, ...]),
        archived=row["archived"],
        created_at=row["created_at"],
    )
