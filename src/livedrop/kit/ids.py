"""Ids: UUIDv7 (RFC 9562 §5.7), made in the application, so that they sort by time of making."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from uuid import UUID

# A subclass of UUID, ten times cheaper to make and to print.
from asyncpg.pgproto.pgproto import UUID as FastUUID

# The kernel's randomness, fetched for a thousand ids at once: each call into the kernel costs more than an id.
_RANDOM_BYTES = 10
_AHEAD = 1_000


def _random_parts() -> Iterator[bytes]:
    while True:
        fetched = os.urandom(_RANDOM_BYTES * _AHEAD)
        for start in range(0, len(fetched), _RANDOM_BYTES):
            yield fetched[start : start + _RANDOM_BYTES]


_random = _random_parts()


def _start_anew() -> None:
    global _random
    _random = _random_parts()


os.register_at_fork(after_in_child=_start_anew)  # or parent and child would make the same ids


def new_id() -> UUID:
    """A new UUIDv7: 48 bits of milliseconds, then 74 random bits."""
    raw = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + next(_random))
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    made: UUID = FastUUID(bytes(raw))
    return made


def parse_id(text: str) -> UUID | None:
    """The id written in `text`, or None where it is not one."""
    try:
        parsed: UUID = FastUUID(text)
    except ValueError:
        return None
    return parsed
