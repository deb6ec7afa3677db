"""A creator schedules a drop of a product, or drafts one."""

from __future__ import annotations

from uuid import UUID

from livedrop import follows
from livedrop.catalogue import product_for_drop
from livedrop.drops import rules, store
from livedrop.drops.drop import Drop, DropShown, NewDrop, shown
from livedrop.kit.database import Connection
from livedrop.kit.ids import new_id
from livedrop.stock import open_drop


async def schedule(tx: Connection, user_id: UUID, body: NewDrop, hold_seconds: int) -> DropShown:
    """The new drop's page. Product and prices are copied: what is sold stays what was announced.

    `hold_seconds` holds where the body says nothing. Raises `CreatorRequired`, `NotFound`, `Forbidden`,
    `ProductArchived`, `InvalidFields`, `WrongTimes`, `VariantRequired`, `UnknownVariant`.
    """
    creator = await follows.require_creator(tx, user_id)
    product = await product_for_drop(tx, body.product_id, for_share=True)
    rules.require_offer(product, user_id)
    now = await store.database_now(tx)
    drop_id = new_id()
    head = rules.new_head(drop_id, product, body, hold_seconds, now)
    lots = rules.new_lots(drop_id, product, body.stock)
    search = rules.searched_text(head.title, product.shown)
    await store.insert(tx, drop_id, product.shown, user_id, search, now)
    await open_drop(tx, head, lots, now)
    drop = Drop(head, tuple(lots), product.shown)
    return shown(drop, follows.card(creator), rules.phase_of(head, drop.available, now))
