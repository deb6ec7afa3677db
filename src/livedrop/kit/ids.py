"""Ids: UUIDv7 (RFC 9562 §5.7), made in the application, so that they sort by time of making."""

from __future__ import annotations

import os
import time
from uuid import UUID

from asyncpg.pgproto.pgproto import (
    UUID as FastUUID,
)  # a subclass of UUID, ten times cheaper to make and print


def new_id() -> UUID:
    """A new UUIDv7: 48 bits of milliseconds, then 74 random bits."""
    raw = bytearray((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
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
