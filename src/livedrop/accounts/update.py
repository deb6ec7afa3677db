"""Changing one's account."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from livedrop.accounts import store
from livedrop.accounts.account import Account
from livedrop.accounts.show import own_account
from livedrop.events import AccountUpdated
from livedrop.kit import facts
from livedrop.kit.database import Database
from livedrop.web.fields import Name
from livedrop.web.guards import Caller


class AccountChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    name: Name | UnsetType = UNSET


async def update_account(database: Database, caller: Caller, change: AccountChange) -> Account:
    """The caller's account after the change; one that changes nothing is no fact."""
    async with database.transaction() as tx:
        if not isinstance(change.name, UnsetType):
            renamed = await store.rename(tx, caller.user_id, change.name.strip())
            if renamed is not None:
                await facts.append(tx, renamed.id, AccountUpdated(user_id=renamed.id, name=renamed.name))
                return renamed
        return await own_account(tx, caller)
