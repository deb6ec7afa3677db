"""A creator changes a drop: edits it, publishes a draft. The till decides, under the drop's lock."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import UNSET

from livedrop.drops import rules, store
from livedrop.drops.drop import DropChange
from livedrop.kit.database import Connection, Database
from livedrop.stock import Publish, Till
from livedrop.stock.errors import DropNotFound


async def change(database: Database, till: Till, user_id: UUID, drop_id: UUID, body: DropChange) -> None:
    """Makes the whole change or none of it; one that says nothing changes nothing.

    Raises `DropNotFound`, `Forbidden`, `InvalidFields`, and what the till refuses.
    """
    async with database.connection() as connection:
        now = await require_own(connection, drop_id, user_id)
    if rules.changes_nothing(body):
        return
    await till.change(rules.edit_of(drop_id, user_id, body, now))
    if body.title is not UNSET:
        await _search_anew(database, drop_id)


async def publish(database: Database, till: Till, user_id: UUID, drop_id: UUID) -> None:
    """A draft goes public; doing it again changes nothing. Raises `DropNotFound`, `Forbidden`, `DropEnded`."""
    async with database.connection() as connection:
        await require_own(connection, drop_id, user_id)
    await till.change(Publish(drop_id=drop_id, creator_id=user_id))


async def require_own(connection: Connection, drop_id: UUID, user_id: UUID) -> datetime:
    """The database's time, for the drop's creator; raises `DropNotFound`, `Forbidden` for anybody else."""
    standing = await store.standing(connection, drop_id)
    if standing is None:
        raise DropNotFound
    rules.require_owner(standing.creator_id, standing.published, user_id)
    return standing.now


async def _search_anew(database: Database, drop_id: UUID) -> None:
    """Lets the drop be found by its new title. Should it fail, the creator hears of it, and trying again mends it."""
    async with database.transaction() as tx:
        title, product = await store.lock_and_read_texts(tx, drop_id)
        await store.update_search(tx, drop_id, rules.searched_text(title, product))
