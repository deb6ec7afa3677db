"""Searching by words."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livedrop.kit.words import folded, like_patterns

TEXT = st.text(max_size=40)


def holds(text: str, question: str) -> bool:
    """What PostgreSQL does with the patterns: every word of the question lies in the folded text."""
    words = [pattern[1:-1].replace("\\%", "%").replace("\\_", "_") for pattern in like_patterns(question)]
    return all(word.replace("\\\\", "\\") in folded(text) for word in words)


def test_case_accents_and_odd_spaces_make_no_difference() -> None:
    assert folded(" Crème\t BRÛLÉE\n") == folded("creme brulee") == "creme brulee"
    assert folded("Straße ﬁn Ω İstanbul") == "strasse fin ω istanbul"
    assert folded("x", None, "", " ", "y") == "x\ny"
    assert folded(None) == folded() == ""


def test_patterns_take_the_words_as_they_are() -> None:
    assert like_patterns("50% of_a \\ thing") == ["%50\\%%", "%of\\_a%", "%\\\\%", "%thing%"]
    assert like_patterns("a A á  a") == ["%a%"]
    assert like_patterns(" \n") == []


@given(TEXT)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@given(TEXT, TEXT, TEXT)
def test_a_text_is_found_by_its_own_words_however_they_are_written(before: str, text: str, after: str) -> None:
    whole = f"{before} {text} {after}"
    assert holds(whole, text)
    assert holds(whole, text.upper())
    assert holds(whole.upper(), text)


@given(TEXT, TEXT)
def test_no_word_is_found_across_two_texts(first: str, second: str) -> None:
    assert all(word in folded(first) or word in folded(second) for word in folded(first, second).split())
