"""Conditional reads (RFC 9110 §13): an answer that the client has already is not sent again."""

from __future__ import annotations

import re

_TAGS = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def matches(if_none_match: bytes, etag: bytes) -> bool:
    """Whether this If-None-Match names `etag`: alone, in a list, weak (`W/`), or by `*` (RFC 9110 §13.1.2)."""
    if if_none_match == etag:
        return True
    return if_none_match.strip() == b"*" or etag in _TAGS.findall(if_none_match)
