"""Showing an account."""

from __future__ import annotations

from uuid import UUID

from livedrop.accounts import store
from livedrop.accounts.account import Account
from livedrop.kit.database import Connection
from livedrop.kit.refusals import NotFound
from livedrop.web.guards import AuthRequired, Caller


async def own_account(connection: Connection, caller: Caller) -> Account:
    """The caller's account; raises `AuthRequired` for a token that outlived it."""
    account = await store.account_by_id(connection, caller.user_id)
    if account is None:
        raise AuthRequired
    return account


async def account_of(connection: Connection, user_id: UUID) -> Account:
    """Anybody's account; raises `NotFound`. Whoever shows it leaves the e-mail out."""
    account = await store.account_by_id(connection, user_id)
    if account is None:
        raise NotFound
    return account
