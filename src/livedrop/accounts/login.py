"""Signing in with e-mail and password."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from livedrop.accounts import store
from livedrop.accounts.account import Account, Email, Password, SignedIn
from livedrop.accounts.begin import begin_session
from livedrop.accounts.errors import WrongCredentials
from livedrop.accounts.passwords import Passwords
from livedrop.accounts.rules import account_subject
from livedrop.accounts.throttle import Throttle
from livedrop.accounts.tokens import Tokens
from livedrop.kit.database import Database
from livedrop.kit.refusals import Busy


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Email
    password: Password


async def login(
    database: Database,
    tokens: Tokens,
    passwords: Passwords,
    throttle: Throttle,
    given: Credentials,
    host: str | None,
) -> SignedIn:
    """Begins a session; raises `WrongCredentials`, `RateLimited` or `Busy`.

    An unknown e-mail and a wrong password take the same steps, and so the same time.
    """
    async with throttle.turn(given.email):
        account = await _recognise(database, passwords, throttle, given, host)
    async with database.transaction() as tx:
        await store.clear_failures(tx, account_subject(given.email))
        return await begin_session(tx, tokens, account)


async def _recognise(
    database: Database, passwords: Passwords, throttle: Throttle, given: Credentials, host: str | None
) -> Account:
    subjects = throttle.subjects(given.email, host)
    await throttle.check(subjects)
    async with database.connection() as connection:
        known = await store.password_by_email(connection, given.email.strip())
    fits = await passwords.fits(given.password, None if known is None else known.password_hash)
    if not fits or known is None:
        await throttle.count(subjects)
        raise WrongCredentials
    if passwords.outdated(known.password_hash):
        await _renew_hash(database, passwords, known, given.password)
    return known.account


async def _renew_hash(database: Database, passwords: Passwords, known: store.StoredPassword, password: str) -> None:
    """Hashes with today's parameters while the password is at hand; another time will do if we are busy."""
    with suppress(Busy):
        new = await passwords.hash(password)
        async with database.transaction() as tx:
            await store.replace_hash(tx, known.account.id, known.password_hash, new)
