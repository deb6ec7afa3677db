"""Beginning a session."""

from __future__ import annotations

from livedrop.accounts import refresh_tokens, store
from livedrop.accounts.account import Account, SignedIn
from livedrop.accounts.rules import SESSIONS_PER_USER_MAX
from livedrop.accounts.tokens import ACCESS_SECONDS, Tokens
from livedrop.kit.database import Connection
from livedrop.kit.ids import new_id


async def begin_session(tx: Connection, tokens: Tokens, account: Account) -> SignedIn:
    """A new session of this account with its first pair of tokens; the oldest end where there are too many."""
    session_id, secret = new_id(), refresh_tokens.new_secret()
    await store.insert_session(tx, session_id, account.id, refresh_tokens.digest(secret))
    surplus = await store.oldest_sessions(tx, account.id, SESSIONS_PER_USER_MAX)
    if surplus:
        await store.revoke(tx, surplus)
    return SignedIn(
        account=account,
        access_token=tokens.issue(account.id, session_id),
        refresh_token=tokens.refresh.write(session_id, secret),
        expires_in_seconds=ACCESS_SECONDS,
    )
