"""Which If-None-Match names an answer."""

from __future__ import annotations

import pytest

from livedrop.web import etags


@pytest.mark.parametrize(
    "header", [b'"7-live"', b'W/"7-live"', b"*", b" * ", b'"6-live", "7-live"', b'"a,b",W/"7-live" , "c"']
)
def test_it_is_the_answer_that_the_client_has(header: bytes) -> None:
    assert etags.matches(header, b'"7-live"')


@pytest.mark.parametrize(
    "header", [b"", b'"6-live"', b"7-live", b'"17-live"', b'"7-live', b'"7-live "', b'"*"', b'"a", *x', b"\xff", b'"']
)
def test_it_is_another_answer(header: bytes) -> None:
    assert not etags.matches(header, b'"7-live"')
