"""Making an account."""

from __future__ import annotations

import msgspec

from livedrop.accounts import store
from livedrop.accounts.account import Email, NewPassword, SignedIn
from livedrop.accounts.begin import begin_session
from livedrop.accounts.errors import EmailTaken
from livedrop.accounts.passwords import Passwords
from livedrop.accounts.throttle import Throttle
from livedrop.accounts.tokens import Tokens
from livedrop.events import AccountRegistered
from livedrop.kit import facts
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.web.fields import Name


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`email` is one account's only, whatever its case; `name` is what others see."""

    email: Email
    password: NewPassword
    name: Name


async def register(
    database: Database,
    tokens: Tokens,
    passwords: Passwords,
    throttle: Throttle,
    wanted: NewAccount,
    host: str | None,
) -> SignedIn:
    """Makes an account and signs it in; raises `EmailTaken`, `RateLimited` or `Busy`."""
    email, name = wanted.email.strip(), wanted.name.strip()
    await _refuse_taken(database, throttle, email, host)
    password_hash = await passwords.hash(wanted.password)
    async with database.transaction() as tx:
        account = await store.insert_account(tx, new_id(), name, email, password_hash)
        await facts.append(tx, account.id, AccountRegistered(user_id=account.id, name=account.name))
        return await begin_session(tx, tokens, account)


async def _refuse_taken(database: Database, throttle: Throttle, email: str, host: str | None) -> None:
    """Says that an e-mail is taken without hashing, and not often: each time tells a guesser of an account."""
    address = throttle.subjects(None, host)
    await throttle.check(address)
    async with database.connection() as connection:
        taken = await store.password_by_email(connection, email) is not None
    if taken:
        await throttle.count(address)
        raise EmailTaken
