"""Handles: one address for each creator, that can't be taken for an id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livedrop.follows.rules import check_handle, read_reference
from livedrop.kit.refusals import InvalidFields

ID = "0191f2a4-7e1c-7d3b-9c11-000000000001"


@pytest.mark.parametrize("handle", ["ab", "Ada_Lovelace", "a-1", "7up", "x" * 40])
def test_a_handle_is_its_own_reference(handle: str) -> None:
    check_handle(handle)
    assert read_reference(handle) == handle


@pytest.mark.parametrize("handle", ["-ab", "ab-", "_ab", "a b", "é-lan", "ab\n", "", "a/b", "аdа"], ids=ascii)
def test_what_is_no_handle_is_refused_and_names_nobody(handle: str) -> None:
    with pytest.raises(InvalidFields):
        check_handle(handle)
    assert read_reference(handle) is None


@pytest.mark.parametrize("handle", [ID, ID.replace("-", ""), ID.upper()])
def test_a_handle_is_no_id(handle: str) -> None:
    with pytest.raises(InvalidFields):
        check_handle(handle)


@given(st.uuids())
def test_an_id_is_a_reference_to_that_id(creator_id: object) -> None:
    assert read_reference(str(creator_id)) == creator_id


@given(st.text(max_size=60))
def test_every_text_is_an_id_a_handle_or_nothing(text: str) -> None:
    reference = read_reference(text)
    assert reference is None or reference == text or str(reference).replace("-", "") == text.replace("-", "").lower()
