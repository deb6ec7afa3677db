"""Sign-up, sign-in, tokens."""

from livedrop.accounts.passwords import Passwords
from livedrop.accounts.prune import prune
from livedrop.accounts.tokens import Tokens
from livedrop.accounts.watch import hear_revocations, watch_revocations

__all__ = ["Passwords", "Tokens", "hear_revocations", "prune", "watch_revocations"]
