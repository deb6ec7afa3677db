"""A new pair of tokens for a refresh token."""

from __future__ import annotations

import structlog

from livedrop.accounts import refresh_tokens, store
from livedrop.accounts.account import SignedIn
from livedrop.accounts.errors import SessionEnded
from livedrop.accounts.refresh_tokens import Presented
from livedrop.accounts.rules import Session, Worth, judge
from livedrop.accounts.tokens import ACCESS_SECONDS, Tokens
from livedrop.accounts.watch import forget
from livedrop.kit.database import Connection, Database
from livedrop.web.guards import Guard

log = structlog.get_logger("livedrop.accounts")


async def refresh(database: Database, tokens: Tokens, guard: Guard, refresh_token: str) -> SignedIn:
    """Replaces the refresh token and gives an access token with it; raises `SessionEnded`.

    A token used twice ends its whole session (RFC 9700 §4.14.2), but for a short while after its first use the
    same successor is said again: its answer may have been lost, or two windows may have asked at once.
    """
    presented = tokens.refresh.read(refresh_token)
    if presented is None:
        raise SessionEnded
    async with database.transaction() as tx:
        session = await store.lock_session(tx, presented.session_id)
        worth = Worth.NOTHING if session is None else judge(session, presented)
        if session is not None and worth in (Worth.NEXT, Worth.SAME_AGAIN):
            return await _go_on(tx, tokens, session, presented, worth)
        revoked = await store.revoke(tx, [presented.session_id]) if worth is Worth.REUSED else []
    if revoked:
        log.warning("refresh_token_reused", session_id=str(presented.session_id))
        forget(guard, revoked)
    raise SessionEnded


async def _go_on(tx: Connection, tokens: Tokens, session: Session, presented: Presented, worth: Worth) -> SignedIn:
    if worth is Worth.NEXT:
        successor = refresh_tokens.new_secret()
        sealed = refresh_tokens.seal(successor, presented.secret)
        await store.rotate(tx, session.id, refresh_tokens.digest(successor), sealed)
    else:
        assert session.sealed_successor is not None, "what was replaced has a successor"
        successor = refresh_tokens.seal(session.sealed_successor, presented.secret)
    await store.extend_access(tx, session.id)
    return SignedIn(
        account=session.account,
        access_token=tokens.issue(session.account.id, session.id),
        refresh_token=tokens.refresh.write(session.id, successor),
        expires_in_seconds=ACCESS_SECONDS,
    )
