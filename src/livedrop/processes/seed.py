"""`livedrop seed`: a few creators with things on sale, so that there is something to try at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from livedrop.accounts.login_in_development import development_users
from livedrop.catalogue.create import create
from livedrop.catalogue.product import NewProduct, NewVariant, ProductShown, shown
from livedrop.drops.drop import NewDrop
from livedrop.drops.schedule import schedule
from livedrop.follows.become import NewCreator, become_creator
from livedrop.kit.database import Connection, Database
from livedrop.kit.starting import CannotStart
from livedrop.processes.database import running_database
from livedrop.settings import Settings

log = structlog.get_logger("livedrop.seed")

# One at a time, whichever process; any number does.
_LOCK = "SELECT pg_advisory_xact_lock(7061736564726)"
_EMPTY = "SELECT NOT EXISTS (SELECT FROM drops) AND NOT EXISTS (SELECT FROM products)"
_TABLES = (
    "users, sessions, sign_in_failures, creators, products, variants, drops, drop_heads, lots, orders, payments, "
    "facts, subject_facts, idempotency_keys"
)
_SANDBOX_TABLES = (
    "SELECT string_agg(format('sandbox.%I', tablename), ', ') FROM pg_tables WHERE schemaname = 'sandbox'"
)
STARTS_IN_SECONDS = 60


class Offer(msgspec.Struct, frozen=True):
    """One drop of the demonstration, `stock` of each variant; negative `starts_in_seconds`: it is live already."""

    product: NewProduct
    stock: int
    starts_in_seconds: int
    per_customer_limit: int | None = None
    ends_in_seconds: int | None = None


_STUDIO_NORTH = NewCreator(
    handle="studio-north", display_name="Studio North", bio="Prints in small numbers, numbered by hand."
)
_KILN = NewCreator(handle="kiln", display_name="Kiln & Clay", bio="Cups, bowls and the odd teapot.")

_OFFERS: dict[NewCreator, tuple[Offer, ...]] = {
    _STUDIO_NORTH: (
        Offer(
            NewProduct(
                title="Harbour at Dawn, numbered print",
                description="Risograph, two colours, 30 × 40 cm.",
                price_minor=4_500,
                currency="EUR",
                tags=["print", "paper"],
                variants=[
                    NewVariant(sku="HARBOUR-PLAIN", name="Unframed"),
                    NewVariant(sku="HARBOUR-FRAMED", name="Framed in oak", price_minor=8_900),
                ],
            ),
            stock=150,
            starts_in_seconds=-60,
            per_customer_limit=2,
            ends_in_seconds=7 * 24 * 3600,
        ),
        Offer(
            NewProduct(
                title="Night Ferry, numbered print",
                description="Risograph, one colour, A3.",
                price_minor=3_200,
                currency="EUR",
                tags=["print", "paper"],
            ),
            stock=40,
            starts_in_seconds=STARTS_IN_SECONDS,
            per_customer_limit=1,
        ),
    ),
    _KILN: (
        Offer(
            NewProduct(
                title="Ash-glazed cup",
                description="Thrown and fired in one week; each is a little different.",
                price_minor=2_800,
                currency="EUR",
                tags=["ceramics"],
            ),
            stock=25,
            starts_in_seconds=24 * 3600,
        ),
    ),
}


def run(settings: Settings, *, reset: bool) -> None:
    """Fills an empty database, or with `reset` empties it first (development only). Raises `CannotStart`."""
    asyncio.run(_seed(settings, reset=reset))


async def _seed(settings: Settings, *, reset: bool) -> None:
    async with running_database(settings) as database_url:
        if reset:
            if not settings.development:
                raise CannotStart("seed --reset deletes everything; it works in development only (LIVEDROP_MODE).")
            await _reset(database_url)
        if not await seed_demo(database_url, settings):
            raise CannotStart("The database is not empty: nothing was changed. `--reset` empties it first.")


async def seed_demo(database_url: str, settings: Settings) -> bool:
    """Fills an empty database, in one transaction; False, and nothing changed, where it is not empty."""
    database = await Database(database_url, connections_max=1, application_name="livedrop seed").open()
    try:
        async with database.transaction() as tx:
            await tx.execute(_LOCK)
            if not await tx.fetchval(_EMPTY):
                return False
            for creator, offers in _OFFERS.items():
                await _add_creator(tx, creator, offers, settings.hold_seconds)
    finally:
        await database.close()
    log.info("seeded", creators=len(_OFFERS), drops=sum(len(offers) for offers in _OFFERS.values()))
    return True


async def _add_creator(tx: Connection, creator: NewCreator, offers: tuple[Offer, ...], hold_seconds: int) -> None:
    user_id = (await development_users(tx, [creator.handle]))[creator.handle]
    await become_creator(tx, user_id, creator)
    now = datetime.now(UTC)
    for offer in offers:
        product = shown(await create(tx, user_id, offer.product))
        await schedule(tx, user_id, _drop(product, offer, now), hold_seconds)


def _drop(product: ProductShown, offer: Offer, now: datetime) -> NewDrop:
    stock: dict[UUID, int] = {variant.id: offer.stock for variant in product.variants}
    return NewDrop(
        product_id=product.id,
        starts_at=now + timedelta(seconds=offer.starts_in_seconds),
        ends_at=None if offer.ends_in_seconds is None else now + timedelta(seconds=offer.ends_in_seconds),
        stock=stock,
        per_customer_limit=offer.per_customer_limit,
    )


async def _reset(database_url: str) -> None:
    database = await Database(database_url, connections_max=1, application_name="livedrop seed").open()
    try:
        async with database.transaction() as tx:
            await tx.execute(f"TRUNCATE {_TABLES}")
            if sandbox := await tx.fetchval(_SANDBOX_TABLES):
                await tx.execute(f"TRUNCATE {sandbox}")
    finally:
        await database.close()
