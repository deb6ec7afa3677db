"""Hashing passwords: as OWASP says, beside the event loop, so many at a time."""

from __future__ import annotations

import asyncio
import threading

import pytest
from argon2 import PasswordHasher

from livedrop.accounts.passwords import Passwords
from livedrop.kit.refusals import Busy


class HangingHasher(PasswordHasher):
    """Hashes nothing until it is let go, and counts how many hash at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.go = threading.Event()
        self.go.set()
        self.now = self.most = 0
        self._lock = threading.Lock()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.go.wait(timeout=30)
        with self._lock:
            self.now -= 1
        return super().hash(password, salt=salt)


async def test_the_parameters_are_those_of_owasp() -> None:
    passwords = Passwords()
    try:
        stored = await passwords.hash("correct horse")
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert await passwords.fits("correct horse", stored)
        assert not await passwords.fits("correct horsf", stored)
        assert not passwords.outdated(stored)
        assert passwords.outdated(stored.replace("t=2", "t=1"))
    finally:
        passwords.close()


async def test_no_password_fits_where_none_is_stored() -> None:
    passwords = Passwords(HangingHasher())
    try:
        assert not await passwords.fits("", None)
        assert not await passwords.fits("anything", None)
    finally:
        passwords.close()


async def test_so_many_hash_at_once_so_many_wait_and_the_rest_is_told_so() -> None:
    hasher = HangingHasher()
    passwords = Passwords(hasher, concurrent_max=2, line_max=3)
    try:
        hasher.go.clear()
        taken = [asyncio.ensure_future(passwords.hash("x")) for _ in range(5)]
        await asyncio.sleep(0)  # lets them start, in order
        with pytest.raises(Busy):
            await passwords.hash("x")
        hasher.go.set()
        assert len(set(await asyncio.gather(*taken))) == 5  # each with its own salt
        assert hasher.most <= 2
        assert (await passwords.hash("x")).startswith("$argon2id$")  # there is room again
    finally:
        hasher.go.set()
        passwords.close()


async def test_the_loop_goes_on_while_a_password_is_hashed() -> None:
    hasher = HangingHasher()
    passwords = Passwords(hasher, concurrent_max=1)
    try:
        hasher.go.clear()
        hashing = asyncio.ensure_future(passwords.hash("x"))
        await asyncio.sleep(0)
        assert not hashing.done()
        hasher.go.set()
        assert await hashing
    finally:
        hasher.go.set()
        passwords.close()
