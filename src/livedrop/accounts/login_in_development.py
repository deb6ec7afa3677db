"""The development login: a token for the asking."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from livedrop.accounts import store
from livedrop.accounts.tokens import Tokens
from livedrop.events import AccountRegistered
from livedrop.kit import facts
from livedrop.kit.batches import Batcher
from livedrop.kit.database import Connection, Database
from livedrop.kit.ids import new_id

# No refresh token comes with it, so it lasts a working day.
LIFETIME_SECONDS = 12 * 3600
BATCH_SIZE_MAX = 256
QUEUE_MAX = 4_096


class DevelopmentToken(msgspec.Struct, frozen=True):
    user_id: UUID
    token: str


class DevelopmentLogins:
    """Signs in whoever asks, under any handle, and makes the user at first use. A crowd comes at once: in batches."""

    def __init__(self, database: Database, tokens: Tokens) -> None:
        self._database = database
        self._tokens = tokens
        self._batches: Batcher[str, DevelopmentToken] = Batcher(
            self._settle, batch_size_max=BATCH_SIZE_MAX, queue_max=QUEUE_MAX, name="development logins"
        )

    async def login(self, handle: str) -> DevelopmentToken:
        """A token of a new session of the user with this handle; raises `Busy`."""
        return await self._batches.ask(handle)

    async def _settle(self, handles: Sequence[str]) -> Sequence[DevelopmentToken]:
        async with self._database.transaction() as tx:
            users = await development_users(tx, handles)
            user_ids = [users[handle] for handle in handles]
            session_ids = [new_id() for _ in handles]
            await store.insert_bare_sessions(tx, session_ids, user_ids, LIFETIME_SECONDS)
        return [
            DevelopmentToken(user_id, self._tokens.issue(user_id, session_id, lifetime_seconds=LIFETIME_SECONDS))
            for user_id, session_id in zip(user_ids, session_ids, strict=True)
        ]


async def development_users(tx: Connection, handles: Sequence[str]) -> dict[str, UUID]:
    """The user of each handle, made where there is none; of several who make one at once, one does."""
    users = await store.development_users(tx, handles)
    # Sorted, so that two processes that make the same users never wait for each other.
    missing = {handle: new_id() for handle in sorted(set(handles) - users.keys())}
    if not missing:
        return users
    made = await store.insert_development_users(tx, missing)
    await facts.append_all(
        tx, [(user_id, AccountRegistered(user_id=user_id, name=handle)) for handle, user_id in made.items()]
    )
    users |= made
    if len(made) < len(missing):  # somebody else was first, and has committed by now
        users |= await store.development_users(tx, list(missing))
    return users
