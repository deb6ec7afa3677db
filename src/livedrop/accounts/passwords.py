"""Passwords: argon2id (RFC 9106) beside the event loop, so many at a time and no more."""

from __future__ import annotations

import asyncio
import os
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

from livedrop.kit.refusals import Busy

# OWASP Password Storage Cheat Sheet: m = 19 MiB, t = 2, p = 1.
OWASP = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)

# A hash takes about 30 ms of a core: leave half of the cores to the sale.
CONCURRENT_MAX = max(1, (os.cpu_count() or 2) // 2)
# With one core the last in line waits about two seconds.
LINE_MAX = 64

Result = TypeVar("Result")


class Passwords:
    """Hashes and compares passwords in threads of its own; raises `Busy` when too many wait already."""

    def __init__(
        self,
        hasher: PasswordHasher = OWASP,
        *,
        concurrent_max: int = CONCURRENT_MAX,
        line_max: int = LINE_MAX,
    ) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(concurrent_max, thread_name_prefix="passwords")
        self._under_way_max = concurrent_max + line_max
        self._under_way = 0
        # What nobody's password is compared with, so that it takes as long as anybody's.
        self._nobodys = hasher.hash(secrets.token_urlsafe())

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """The hash to store, with its salt and parameters in it."""
        return await self._in_turn(lambda: self._hasher.hash(_prepared(password)))

    async def fits(self, password: str, stored: str | None) -> bool:
        """Whether the password is the stored one; takes its time, too, where there is none (None)."""
        fits = await self._in_turn(lambda: self._verify(stored or self._nobodys, password))
        return fits and stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether this hash was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _prepared(password))
        except VerifyMismatchError:
            return False

    async def _in_turn(self, work: Callable[[], Result]) -> Result:
        if self._under_way >= self._under_way_max:
            raise Busy
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def _prepared(password: str) -> bytes:
    """One form for what looks the same on every keyboard (RFC 8265 §4.2: NFC)."""
    return unicodedata.normalize("NFC", password).encode()
