"""Pages of a list: `limit` and an opaque `after`, or a plain page number for the first ten thousand rows."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any, Generic, TypeVar

import msgspec

from livedrop.kit.refusals import InvalidFields, Refusal

LIMIT_DEFAULT = 20
LIMIT_MAX = 100
NUMBERED_ROWS_MAX = 10_000
_SIGNATURE_BYTES = 8

Item = TypeVar("Item")


class BadCursor(Refusal):
    """This cursor is not one that this list gave out."""

    code, status = "bad_cursor", 400


class Page(msgspec.Struct, Generic[Item]):
    """One page; `next` is the cursor of the following one, or null at the end."""

    items: list[Item]
    next: str | None


class Cursors:
    """Makes and reads cursors: the sort key of a page's last row, signed together with the list's name.

    The name holds the list's filters and order, so a cursor can't be carried to another list.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.blake2b(b"livedrop cursors", key=secret[:64], digest_size=32).digest()

    def make(self, name: str, *sort_key: Any) -> str:
        body = msgspec.json.encode(sort_key)
        return base64.urlsafe_b64encode(self._sign(name, body) + body).rstrip(b"=").decode()

    def read(self, name: str, cursor: str, *shape: Any) -> tuple[Any, ...]:
        """The sort key in `cursor`, each part of the type in `shape`; raises `BadCursor`."""
        try:
            raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise BadCursor from None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(name, body)):
            raise BadCursor
        key: tuple[Any, ...] = msgspec.json.decode(body, type=tuple[shape])  # type: ignore[valid-type]
        return key

    def _sign(self, name: str, body: bytes) -> bytes:
        return hashlib.blake2b(name.encode() + b"\0" + body, key=self._secret, digest_size=_SIGNATURE_BYTES).digest()


def offset_of(page: int | None, after: str | None, limit: int) -> int:
    """How many rows a page number skips; refuses page and cursor together, and what lies past 10,000 rows."""
    if page is None:
        return 0
    if after is not None:
        raise InvalidFields(("page", "give either `page` or `after`, not both"))
    if page * limit > NUMBERED_ROWS_MAX:
        raise InvalidFields(("page", f"page numbers reach {NUMBERED_ROWS_MAX} rows; use `after` beyond"))
    return (page - 1) * limit
