"""What a refresh token is worth, and what is in it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livedrop.accounts.account import Account
from livedrop.accounts.refresh_tokens import Presented, RefreshTokens, digest, new_secret, seal
from livedrop.accounts.rules import GRACE_SECONDS, Session, Worth, judge
from livedrop.kit.ids import new_id

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
CURRENT, PREVIOUS, LONG_AGO, FORGED = b"c" * 32, b"p" * 32, b"o" * 32, b"f" * 32
SESSION = Session(
    id=new_id(),
    account=Account(id=new_id(), name="Ada", email="ada@example.com", created_at=NOW),
    refresh_digest=digest(CURRENT),
    previous_digest=digest(PREVIOUS),
    sealed_successor=seal(CURRENT, PREVIOUS),
    refreshed_at=NOW - timedelta(seconds=1),
    expires_at=NOW + timedelta(days=1),
    revoked=False,
    now=NOW,
)


def _presented(secret: bytes, *, ours: bool = True) -> Presented:
    return Presented(SESSION.id, secret, ours)


def _refreshed(seconds_ago: float) -> Session:
    return msgspec.structs.replace(SESSION, refreshed_at=NOW - timedelta(seconds=seconds_ago))


def test_the_current_token_counts_even_when_the_key_that_marked_it_is_gone() -> None:
    assert judge(SESSION, _presented(CURRENT)) is Worth.NEXT
    assert judge(SESSION, _presented(CURRENT, ours=False)) is Worth.NEXT


@pytest.mark.parametrize(
    ("seconds_ago", "worth"),
    [
        (0, Worth.SAME_AGAIN),
        (GRACE_SECONDS - 0.001, Worth.SAME_AGAIN),
        (GRACE_SECONDS, Worth.REUSED),
        (GRACE_SECONDS * 100, Worth.REUSED),
    ],
)
def test_the_predecessor_has_a_short_grace(seconds_ago: float, worth: Worth) -> None:
    assert judge(_refreshed(seconds_ago), _presented(PREVIOUS)) is worth
    assert judge(_refreshed(seconds_ago), _presented(PREVIOUS, ours=False)) is worth


def test_an_older_token_has_no_grace() -> None:
    assert judge(SESSION, _presented(LONG_AGO)) is Worth.REUSED


def test_a_forged_token_ends_nobodys_session() -> None:
    assert judge(SESSION, _presented(FORGED, ours=False)) is Worth.NOTHING


@pytest.mark.parametrize("secret", [CURRENT, PREVIOUS, LONG_AGO, FORGED])
def test_nothing_counts_in_a_session_that_has_ended(secret: bytes) -> None:
    revoked = msgspec.structs.replace(SESSION, revoked=True)
    expired = msgspec.structs.replace(SESSION, expires_at=NOW)

    assert judge(revoked, _presented(secret)) is Worth.NOTHING
    assert judge(expired, _presented(secret)) is Worth.NOTHING


def test_a_session_of_the_development_login_has_no_refresh_token() -> None:
    bare = msgspec.structs.replace(
        SESSION, refresh_digest=None, previous_digest=None, sealed_successor=None, refreshed_at=None
    )
    assert judge(bare, _presented(FORGED, ours=False)) is Worth.NOTHING


KEYS = ["the first secret of the tests, long enough", "the second secret of the tests, long enough"]


def test_a_token_holds_its_session_and_its_secret() -> None:
    session_id, secret = new_id(), new_secret()
    tokens = RefreshTokens(KEYS[:1])

    assert tokens.read(tokens.write(session_id, secret)) == Presented(session_id, secret, ours=True)


def test_keys_can_be_changed() -> None:
    session_id, secret = new_id(), new_secret()
    written = RefreshTokens([KEYS[0]]).write(session_id, secret)

    assert RefreshTokens([KEYS[1], KEYS[0]]).read(written) == Presented(session_id, secret, ours=True)
    assert RefreshTokens([KEYS[1]]).read(written) == Presented(session_id, secret, ours=False)


@given(st.binary(min_size=64, max_size=64), st.integers(0, 511))
def test_a_token_with_one_bit_changed_is_not_ours(noise: bytes, bit: int) -> None:
    tokens = RefreshTokens(KEYS)
    written = tokens.write(new_id(), noise[:32])
    read = tokens.read(written)
    assert read is not None
    raw = bytearray(read.session_id.bytes + read.secret + bytes(16))
    raw[bit // 8] ^= 1 << bit % 8
    changed = tokens.read(_encoded(bytes(raw)))
    assert changed is not None
    assert not changed.ours


@given(st.text(max_size=120) | st.binary(max_size=80).map(lambda raw: _encoded(raw)))
def test_garbage_is_no_token(text: str) -> None:
    read = RefreshTokens(KEYS).read(text)
    assert read is None or not read.ours


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_sealed_successor_opens_with_its_predecessor_only(successor: bytes, secret: bytes) -> None:
    sealed = seal(successor, secret)
    assert seal(sealed, secret) == successor
    assert seal(sealed, bytes(byte ^ 1 for byte in secret)) != successor


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
