"""The guard remembers tokens, and not whatever else is sent in their place."""

from __future__ import annotations

import pytest

from livedrop.kit.ids import new_id
from livedrop.web.guards import AUTHORIZATION_BYTES_MAX, AuthRequired, Caller, Guard


def test_a_header_that_is_blown_up_is_refused_before_it_is_remembered() -> None:
    """Seen without the bound: 2,000 requests with one token behind 50 KB of spaces took 90 MB for good."""
    verified: list[str] = []

    def verify(token: str) -> Caller:
        verified.append(token)
        return Caller(new_id(), new_id(), float("inf"))

    guard = Guard(verify)
    assert guard.caller(b"Bearer token")
    with pytest.raises(AuthRequired):
        guard.caller(b"Bearer " + b" " * AUTHORIZATION_BYTES_MAX + b"token")
    assert verified == ["token"]
