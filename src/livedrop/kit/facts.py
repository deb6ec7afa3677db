"""Facts about accounts, creators and products, written in the transaction of the change.

A drop's facts are the till's (stock/): they bear a `seq` given under the head's lock. These have none.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from livedrop.kit.database import Connection
from livedrop.kit.ids import new_id

_APPEND = """
INSERT INTO subject_facts (id, subject_id, type, payload) VALUES ($1, $2, $3, $4)
"""


async def append(tx: Connection, subject_id: UUID, fact: msgspec.Struct) -> None:
    """Records `fact` (of `events.py`) of the user or creator `subject_id` in the caller's transaction."""
    kind = fact.__struct_config__.tag
    assert isinstance(kind, str), "a fact is a tagged struct"
    await tx.execute(_APPEND, new_id(), subject_id, kind, msgspec.json.encode(fact).decode())
