"""Looking through drops, page by page."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

import msgspec

from livedrop import follows
from livedrop.drops import rules, store
from livedrop.drops.drop import DropShown, Phase, shown
from livedrop.drops.store import Filters
from livedrop.kit.database import Connection
from livedrop.kit.words import like_patterns
from livedrop.web.guards import AuthRequired
from livedrop.web.pages import Cursors, Page

StatusAsked: TypeAlias = Phase | Literal["upcoming"]

_SORT_KEY = (datetime, UUID)


def filters_of(
    viewer_id: UUID | None, status: StatusAsked | None, creator_id: UUID | None, question: str | None
) -> Filters:
    """What a viewer asked for. Drafts, and drafts that were cancelled, are listed for their own creator only.

    Raises `AuthRequired` for drafts without a sign-in.
    """
    if status == "draft" and viewer_id is None:
        raise AuthRequired("Sign in to see your drafts.")
    return Filters(
        status="scheduled" if status == "upcoming" else status,
        creator_id=creator_id,
        with_own_of=viewer_id if status in ("draft", "cancelled") else None,
        patterns=tuple(like_patterns(question or "")),
        soonest_first=status in ("scheduled", "upcoming"),
    )


async def browse(
    connection: Connection, cursors: Cursors, filters: Filters, *, after: str | None, offset: int, limit: int
) -> Page[DropShown]:
    """One page of drops, by their start: what is to come in its order, everything else the latest first.

    Raises `BadCursor` for a cursor of another list or other filters.
    """
    list_name = f"drops {msgspec.json.encode(filters).decode()}"
    start = None if after is None else cursors.read(list_name, after, *_SORT_KEY)
    found, now = await store.page(connection, filters, start, offset=offset, limit=limit + 1)
    if now is None:
        return Page([], None)
    drops, last = found[:limit], found[:limit][-1].head
    creators = await follows.creators_by_id(connection, list({drop.head.creator_id for drop in drops}))
    return Page(
        items=[
            shown(
                drop,
                follows.card(creators[drop.head.creator_id]),
                rules.phase_of(drop.head, drop.available, now),
            )
            for drop in drops
        ],
        next=cursors.make(list_name, last.starts_at, last.drop_id) if len(found) > limit else None,
    )
