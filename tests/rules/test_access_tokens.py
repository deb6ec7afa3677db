"""Access tokens as an attacker sees them (RFC 8725): only ours, in every detail, are let in."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from livedrop.accounts.keys import derived_key
from livedrop.accounts.tokens import ACCESS_SECONDS, AUDIENCE, ISSUER, TYPE, Tokens
from livedrop.kit.ids import new_id
from livedrop.web.guards import AuthRequired

SECRET = "a secret of the tests, long enough to sign with"
OTHER = "another secret of the tests, long enough too"
USER, SESSION = new_id(), new_id()


@pytest.fixture
def tokens() -> Tokens:
    return Tokens([SECRET])


def _signed(
    tokens: Tokens,
    *,
    claims: dict[str, Any] | None = None,
    without: str | None = None,
    headers: dict[str, Any] | None = None,
    key: bytes | None = None,
) -> str:
    """A token like ours but for what is given; signed with our own key unless another one is given."""
    now = int(time.time())
    ours = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(USER), "sid": str(SESSION), "iat": now, "exp": now + 900}
    said: dict[str, Any] = ours | (claims or {})
    said.pop(without or "", None)
    kid = jwt.get_unverified_header(tokens.issue(USER, SESSION))["kid"]
    return jwt.encode(
        said,
        derived_key(SECRET, b"access tokens") if key is None else key,
        algorithm="HS256",
        headers={"typ": TYPE, "kid": kid} | (headers or {}),
    )


def _refused(tokens: Tokens, token: str) -> bool:
    with pytest.raises(AuthRequired):
        tokens.verify(token)
    return True


def test_our_token_tells_who_calls(tokens: Tokens) -> None:
    before = time.time()
    caller = tokens.verify(tokens.issue(USER, SESSION))

    assert (caller.user_id, caller.session_id) == (USER, SESSION)
    assert before - 1 + ACCESS_SECONDS <= caller.expires_at <= time.time() + ACCESS_SECONDS


def test_no_two_tokens_are_the_same(tokens: Tokens) -> None:
    assert tokens.issue(USER, SESSION) != tokens.issue(USER, SESSION)


def test_the_forgeries_below_fail_for_their_one_difference_only(tokens: Tokens) -> None:
    assert tokens.verify(_signed(tokens)).user_id == USER


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "sid", "iat", "exp"])
def test_every_claim_is_required(tokens: Tokens, missing: str) -> None:
    assert _refused(tokens, _signed(tokens, without=missing))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "somebody"},
        {"aud": "somebody"},
        {"aud": [AUDIENCE, "somebody"]},
        {"exp": int(time.time()) - 60},
        {"exp": "never"},
        {"exp": None},
        {"iat": int(time.time()) + 600},
        {"nbf": int(time.time()) + 600},
        {"sub": "me"},
        {"sid": "mine"},
        {"sid": 7},
        {"sid": None},
    ],
    ids=lambda claims: "".join(claims),
)
def test_a_wrong_claim_is_refused(tokens: Tokens, claims: dict[str, Any]) -> None:
    assert _refused(tokens, _signed(tokens, claims=claims))


@pytest.mark.parametrize(
    "headers",
    [{"typ": "JWT"}, {"typ": "at+JWT "}, {"typ": None}, {"kid": "0" * 16}, {"kid": ""}, {"crit": ["exp"]}],
    ids=str,
)
def test_a_wrong_header_is_refused(tokens: Tokens, headers: dict[str, Any]) -> None:
    assert _refused(tokens, _signed(tokens, headers=headers))


@pytest.mark.parametrize("name", ["HS384", "HS512"])
def test_another_algorithm_is_refused_even_under_our_key(tokens: Tokens, name: str) -> None:
    header, payload, _ = _signed(tokens).split(".")
    signed_part = f"{_encoded({**_decoded(header), 'alg': name})}.{payload}"
    mac = hmac.digest(derived_key(SECRET, b"access tokens"), signed_part.encode(), name.replace("HS", "sha"))

    assert _refused(tokens, f"{signed_part}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}")


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
def test_an_unsigned_token_is_refused(tokens: Tokens, name: str) -> None:
    header, payload, _ = tokens.issue(USER, SESSION).split(".")
    unsigned = {**_decoded(header), "alg": name}

    assert _refused(tokens, f"{_encoded(unsigned)}.{payload}.")


def test_the_secret_itself_signs_nothing(tokens: Tokens) -> None:
    assert _refused(tokens, _signed(tokens, key=SECRET.encode()))
    assert _refused(tokens, _signed(tokens, key=derived_key(SECRET, b"refresh tokens")))
    assert _refused(tokens, _signed(tokens, key=derived_key(OTHER, b"access tokens")))


def test_another_users_claims_under_our_signature_are_refused(tokens: Tokens) -> None:
    header, payload, signature = tokens.issue(USER, SESSION).split(".")
    theirs = {**_decoded(payload), "sub": str(new_id())}

    assert _refused(tokens, f"{header}.{_encoded(theirs)}.{signature}")


def test_a_refresh_token_is_no_access_token(tokens: Tokens) -> None:
    assert _refused(tokens, tokens.refresh.write(SESSION, bytes(32)))


def test_keys_can_be_changed_without_signing_anybody_out() -> None:
    old, both, new = Tokens([OTHER]), Tokens([SECRET, OTHER]), Tokens([SECRET])

    assert both.verify(old.issue(USER, SESSION)).user_id == USER
    assert new.verify(both.issue(USER, SESSION)).user_id == USER
    assert _refused(new, old.issue(USER, SESSION))


def test_the_key_id_says_nothing_of_the_key(tokens: Tokens) -> None:
    kid = jwt.get_unverified_header(tokens.issue(USER, SESSION))["kid"]
    assert len(kid) == 16
    assert kid not in derived_key(SECRET, b"access tokens").hex()


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "x" * 100_000, f"{'[' * 990}"], ids=["", ".", "..", "a.b.c", "long", "deep"]
)
def test_what_is_no_token_is_refused(tokens: Tokens, token: str) -> None:
    assert _refused(tokens, token)


def test_a_header_nested_as_deeply_as_fits_is_refused(tokens: Tokens) -> None:
    nested = base64.urlsafe_b64encode(b"[" * 700).rstrip(b"=").decode()
    assert _refused(tokens, f"{nested}.e30.e30")


@given(st.text(max_size=200))
def test_noise_is_refused(noise: str) -> None:
    assert _refused(Tokens([SECRET]), noise)


def _decoded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
