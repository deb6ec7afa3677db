"""Finding creators, for one's own pages and for those of other slices."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from livedrop.follows import rules, store
from livedrop.follows.creator import Creator
from livedrop.follows.errors import CreatorRequired
from livedrop.kit.database import Connection
from livedrop.kit.refusals import NotFound
from livedrop.web.pages import Cursors, Page, offset_of


async def require_creator(connection: Connection, user_id: UUID) -> Creator:
    """The creator that this user is; raises `CreatorRequired`."""
    for creator in await store.by_ids(connection, [user_id]):
        return creator
    raise CreatorRequired


async def creator_by_id(connection: Connection, creator_id: UUID) -> Creator:
    """The creator with this id; raises `NotFound`."""
    for creator in await store.by_ids(connection, [creator_id]):
        return creator
    raise NotFound


async def creators_by_id(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Creator]:
    """Those of these creators that there are."""
    return {creator.id: creator for creator in await store.by_ids(connection, ids)}


async def creator_by_reference(connection: Connection, reference: str) -> Creator:
    """The creator with this id or this handle; raises `NotFound`."""
    match rules.read_reference(reference):
        case UUID() as creator_id:
            return await creator_by_id(connection, creator_id)
        case str() as handle:
            creator = await store.by_handle(connection, handle)
            if creator is not None:
                return creator
    raise NotFound


async def browse_creators(
    connection: Connection, cursors: Cursors, search: str, limit: int, after: str | None, page: int | None
) -> Page[Creator]:
    """One page of the creators, newest first; each word of `search` is looked for in handles and names."""
    name = f"creators {search}"
    before = store.START if after is None else cursors.read(name, after, *store.SORT_KEY)
    rows = await store.newest(connection, before, search, limit + 1, offset_of(page, after, limit))
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(shown, cursors.make(name, shown[-1].created_at, shown[-1].id) if more else None)
