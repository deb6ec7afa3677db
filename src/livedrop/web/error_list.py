"""Every way in which the API says no, as far as it is imported: what docs/errors.md and /docs/errors list."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from livedrop.kit.refusals import Refusal


class ErrorEntry(msgspec.Struct, frozen=True):
    """One stable code, its status, and what it means (more than one sentence where several types bear it)."""

    code: str
    status: int
    meanings: tuple[str, ...]


def refusal_types() -> list[type[Refusal]]:
    """The refusal types of LiveDrop's own modules that are imported by now."""
    return sorted(
        (kind for kind in _below(Refusal) if kind.__module__.startswith("livedrop.")),
        key=lambda kind: (kind.code, kind.__module__, kind.__qualname__),
    )


def error_list() -> list[ErrorEntry]:
    """One entry for each code and status, in the order of codes."""
    meanings: dict[tuple[str, int], dict[str, None]] = {}
    for kind in refusal_types():
        meanings.setdefault((kind.code, kind.status), {})[kind.title()] = None
    return [ErrorEntry(code, status, tuple(said)) for (code, status), said in meanings.items()]


def _below(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for below in kind.__subclasses__():
        yield below
        yield from _below(below)
