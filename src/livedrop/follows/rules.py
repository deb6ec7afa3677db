"""What a handle may look like, and what the last part of a creator's address means."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from livedrop.kit.ids import parse_id
from livedrop.kit.refusals import InvalidFields

HANDLE_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?$"
HANDLE_CHARACTERS_MIN = 2
HANDLE_CHARACTERS_MAX = 40

Handle = Annotated[
    str, Meta(min_length=HANDLE_CHARACTERS_MIN, max_length=HANDLE_CHARACTERS_MAX, pattern=HANDLE_PATTERN)
]

_is_handle = re.compile(HANDLE_PATTERN).fullmatch


def check_handle(handle: str) -> None:
    """Refuses what the pattern lets through but an address can't tell apart: an id, a newline at the end."""
    if not _is_handle(handle):
        raise InvalidFields(("handle", "a handle has letters, digits, - and _, and ends with a letter or digit"))
    if parse_id(handle) is not None:
        raise InvalidFields(("handle", "a handle can't look like an id"))


def read_reference(text: str) -> UUID | str | None:
    """The id or the handle that `text` is, or None where it can be neither."""
    creator_id = parse_id(text)
    if creator_id is not None:
        return creator_id
    fits = HANDLE_CHARACTERS_MIN <= len(text) <= HANDLE_CHARACTERS_MAX and _is_handle(text)
    return text if fits else None
