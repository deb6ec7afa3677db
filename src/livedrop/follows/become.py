"""Becoming a creator."""

from __future__ import annotations

from uuid import UUID

import msgspec

from livedrop.events import CreatorRegistered
from livedrop.follows import rules, store
from livedrop.follows.creator import Creator
from livedrop.kit import facts
from livedrop.kit.database import Connection
from livedrop.web.fields import LongText, Name, Url


class NewCreator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`handle` is unique, whatever its case, and stays: it is the creator's address."""

    handle: rules.Handle
    display_name: Name
    bio: LongText | None = None
    avatar_url: Url | None = None


async def become_creator(tx: Connection, user_id: UUID, wanted: NewCreator) -> Creator:
    """Makes the user a creator; raises `HandleTaken` or `AlreadyCreator`."""
    rules.check_handle(wanted.handle)
    creator = await store.insert(
        tx,
        user_id,
        wanted.handle,
        wanted.display_name.strip(),
        wanted.bio and wanted.bio.strip(),
        wanted.avatar_url and wanted.avatar_url.strip(),
    )
    fact = CreatorRegistered(creator_id=creator.id, handle=creator.handle, display_name=creator.display_name)
    await facts.append(tx, creator.id, fact)
    return creator
