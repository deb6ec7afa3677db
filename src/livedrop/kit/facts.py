"""Facts about accounts, creators and products, written in the transaction of the change.

A drop's facts are the till's (stock/): they bear a `seq` given under the head's lock. These have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from livedrop.kit.database import Connection
from livedrop.kit.ids import new_id

_APPEND = """
INSERT INTO subject_facts (id, subject_id, type, payload)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]::json[])
"""


async def append(tx: Connection, subject_id: UUID, fact: msgspec.Struct) -> None:
    """Records `fact` (of `events.py`) of the user or creator `subject_id` in the caller's transaction."""
    await append_all(tx, [(subject_id, fact)])


async def append_all(tx: Connection, facts: Sequence[tuple[UUID, msgspec.Struct]]) -> None:
    """Records several facts, each with its subject, in one statement."""
    ids = [new_id() for _ in facts]
    subjects = [subject for subject, _ in facts]
    types = [_type_of(fact) for _, fact in facts]
    payloads = [msgspec.json.encode(fact).decode() for _, fact in facts]
    await tx.execute(_APPEND, ids, subjects, types, payloads)


def _type_of(fact: msgspec.Struct) -> str:
    tag = fact.__struct_config__.tag
    assert isinstance(tag, str), "a fact is a tagged struct"
    return tag
