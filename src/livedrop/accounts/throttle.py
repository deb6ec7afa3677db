"""Guessing passwords is slow: so many failures per account and per address, then wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from livedrop.accounts import rules, store
from livedrop.kit.database import Database
from livedrop.kit.refusals import Busy
from livedrop.web.problems import RateLimited

TURN_LINE_MAX = 20


class Throttle:
    """Counts failures in PostgreSQL, for all processes, and refuses with `RateLimited` what comes after too many.

    Unknown accounts are counted like known ones, so that a refusal says nothing of whether there is one.
    Tries on one account take turns within a process, so that a volley can't outrun the count.
    """

    def __init__(self, database: Database, exempt: Sequence[rules.Network]) -> None:
        self._database = database
        self._exempt = exempt
        self._turns: dict[str, _Turns] = {}

    def subjects(self, email: str | None, host: str | None) -> list[str]:
        """What a try counts against: the account that it asks for, the address that it comes from."""
        address = rules.address_subject(host, self._exempt)
        account = None if email is None else rules.account_subject(email)
        return [subject for subject in (account, address) if subject is not None]

    @asynccontextmanager
    async def turn(self, email: str) -> AsyncIterator[None]:
        """Waits for the other tries on this account; raises `Busy` when too many wait already."""
        subject = rules.account_subject(email)
        turns = self._turns.setdefault(subject, _Turns())
        if turns.taken >= TURN_LINE_MAX:
            raise Busy
        turns.taken += 1
        try:
            async with turns.lock:
                yield
        finally:
            turns.taken -= 1
            if turns.taken == 0:
                del self._turns[subject]

    async def check(self, subjects: Sequence[str]) -> None:
        """Raises `RateLimited` when too many failures are counted against one of the subjects."""
        if not subjects:
            return
        async with self._database.connection() as connection:
            counted = await store.failures(connection, subjects)
        seconds = rules.seconds_to_wait(counted)
        if seconds > 0:
            raise RateLimited(seconds)

    async def count(self, subjects: Sequence[str]) -> None:
        """One more failure."""
        if not subjects:
            return
        async with self._database.connection() as connection:
            await store.count_failure(connection, subjects)


class _Turns:
    """The line of those who try one account."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.taken = 0
