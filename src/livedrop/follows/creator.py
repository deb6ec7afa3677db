"""A creator: a user who sells. Its id is its user's."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class Creator(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    handle: str
    display_name: str
    bio: str | None
    avatar_url: str | None
    created_at: datetime


class CreatorCard(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a creator as other pages show."""

    id: UUID
    handle: str
    display_name: str
    avatar_url: str | None


def card(creator: Creator) -> CreatorCard:
    return CreatorCard(
        id=creator.id,
        handle=creator.handle,
        display_name=creator.display_name,
        avatar_url=creator.avatar_url,
    )
