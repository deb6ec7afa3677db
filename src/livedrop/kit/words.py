"""A simple search: the words of a question, each somewhere in a text, whatever its case and accents."""

from __future__ import annotations

import unicodedata


def folded(*texts: str | None) -> str:
    """The texts as a search reads them: one a line, without case (Unicode's casefold), accents and odd spaces."""
    lines = [" ".join(_fold(text).split()) for text in texts if text]
    return "\n".join(line for line in lines if line)


def like_patterns(question: str) -> list[str]:
    """The patterns that a folded text must all be LIKE in order to hold every word of the question."""
    return [f"%{_escaped(word)}%" for word in dict.fromkeys(folded(question).split())]


def _fold(text: str) -> str:
    # Taken apart twice: casefolding can make letters that come apart again (ᾳ, İ).
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in apart if not unicodedata.combining(character))


def _escaped(word: str) -> str:
    """The word with the characters that mean something to LIKE made to mean themselves."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
