"""What a refresh token is worth, and when guessing has to wait: decisions without any I/O."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from uuid import UUID

import msgspec

from livedrop.accounts.account import Account
from livedrop.accounts.refresh_tokens import Presented

# So long may the token just replaced be used again: the answer that held its successor may have been lost.
GRACE_SECONDS = 30

SESSION_IDLE_DAYS = 30
SESSION_DAYS_MAX = 180
SESSIONS_PER_USER_MAX = 50

FAILURES_WINDOW_SECONDS = 15 * 60
FAILURES_PER_ACCOUNT_MAX = 10
FAILURES_PER_ADDRESS_MAX = 50  # many people may share one

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session as stored, at the moment `now` of PostgreSQL's clock.

    Of its refresh tokens it knows the one that counts and the one that was replaced by it at `refreshed_at`;
    a session of the development login has none.
    """

    id: UUID
    account: Account
    refresh_digest: bytes | None
    previous_digest: bytes | None
    sealed_successor: bytes | None
    refreshed_at: datetime | None
    expires_at: datetime
    revoked: bool
    now: datetime


class Worth(Enum):
    """What a presented refresh token is worth to its session."""

    NEXT = auto()
    """It counts: replace it."""
    SAME_AGAIN = auto()
    """Its successor was made a moment ago and never used, perhaps never heard: say it again."""
    REUSED = auto()
    """It was used up: somebody has a copy. The session must end (RFC 9700 §4.14.2)."""
    NOTHING = auto()


def judge(session: Session, presented: Presented) -> Worth:
    """Decides under the session's lock. A token that was used leaves its predecessor no grace any more."""
    if session.revoked or session.now >= session.expires_at:
        return Worth.NOTHING
    if _same(session.refresh_digest, presented.digest):
        return Worth.NEXT
    was_last = _same(session.previous_digest, presented.digest)
    if was_last and session.refreshed_at is not None:
        grace_ends_at = session.refreshed_at + timedelta(seconds=GRACE_SECONDS)
        return Worth.SAME_AGAIN if session.now < grace_ends_at else Worth.REUSED
    return Worth.REUSED if presented.ours else Worth.NOTHING


def _same(stored: bytes | None, presented: bytes) -> bool:
    return stored is not None and hmac.compare_digest(stored, presented)


class Failures(msgspec.Struct, frozen=True):
    """The failed tries counted against a subject in a window that ends in `seconds_left`."""

    count: int
    seconds_left: int


def account_subject(email: str) -> str:
    """Under what tries on this e-mail are counted, whether or not it has an account; it isn't readable."""
    same_for_all_cases = email.strip().lower().encode()
    return "account:" + hashlib.blake2b(same_for_all_cases, digest_size=16).hexdigest()


def address_subject(host: str | None, exempt: Sequence[Network]) -> str | None:
    """Under what tries from this address are counted, or None where they aren't.

    Of IPv6 the /64 counts, since whoever has one address there has them all.
    """
    if host is None:
        return None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name, from a server that gives no addresses
        return f"address:{host}"
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if any(address in network for network in exempt):
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return f"address:{ipaddress.ip_network((int(address), 64), strict=False)}"
    return f"address:{address}"


def seconds_to_wait(failures: Mapping[str, Failures]) -> int:
    """How long the next try has to wait, given what is counted against its subjects; 0 where it may go on."""
    too_many = (
        counted.seconds_left for subject, counted in failures.items() if counted.count >= _failures_max(subject)
    )
    return max(too_many, default=0)


def _failures_max(subject: str) -> int:
    return FAILURES_PER_ACCOUNT_MAX if subject.startswith("account:") else FAILURES_PER_ADDRESS_MAX
