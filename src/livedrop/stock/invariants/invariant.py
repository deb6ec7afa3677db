"""An invariant: what must hold, and the statement that finds what breaks it."""

from __future__ import annotations

import msgspec


class Invariant(msgspec.Struct, frozen=True):
    """What must always hold.

    `subjects` is a statement with one row for each thing that `promise` is about: `broken` (null is broken too) and
    `offender`, the words that name it. Its $1 is a drop's id, or null for all drops.
    """

    name: str
    promise: str
    subjects: str
