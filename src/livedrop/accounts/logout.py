"""Ending a session."""

from __future__ import annotations

from uuid import UUID

from livedrop.accounts import store
from livedrop.accounts.rules import Worth, judge
from livedrop.accounts.tokens import Tokens
from livedrop.accounts.watch import forget
from livedrop.kit.database import Connection, Database
from livedrop.web.guards import Caller, Guard


async def logout(
    database: Database, tokens: Tokens, guard: Guard, caller: Caller | None, refresh_token: str | None
) -> None:
    """Ends the caller's session and that of the refresh token; in this process at once, in others within a second.

    Ending what has ended, or what never was, is no error.
    """
    async with database.transaction() as tx:
        session_ids = [] if caller is None else [caller.session_id]
        if refresh_token is not None:
            session_ids += await _session_of(tx, tokens, refresh_token)
        revoked = await store.revoke(tx, session_ids)
    if caller is not None:  # whatever became of its session's row
        guard.forget([caller.session_id], caller.expires_at)
    forget(guard, revoked)


async def _session_of(tx: Connection, tokens: Tokens, refresh_token: str) -> list[UUID]:
    """The session that this token belongs or once belonged to, if any."""
    presented = tokens.refresh.read(refresh_token)
    session = None if presented is None else await store.lock_session(tx, presented.session_id)
    if presented is None or session is None or judge(session, presented) is Worth.NOTHING:
        return []
    return [session.id]
