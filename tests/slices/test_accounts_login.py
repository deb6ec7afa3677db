"""Signing in with e-mail and password, and guessing at it."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any, Literal

import pytest
from argon2 import PasswordHasher

from accounts_client import PASSWORD, QUICK, accounts_client, code_of
from livedrop.accounts.rules import FAILURES_PER_ACCOUNT_MAX, FAILURES_PER_ADDRESS_MAX
from livedrop.kit.database import Database

WRONG = "not the password"


class RecordingHasher(PasswordHasher):
    """Remembers how much work each comparison was."""

    def __init__(self, time_cost: int = 1) -> None:
        super().__init__(time_cost=time_cost, memory_cost=64, parallelism=1)
        self.compared: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        self.compared.append(str(hash).rpartition("$")[0].rpartition("$")[0])  # algorithm and parameters
        return super().verify(hash, password)


async def _lapse(database: Database) -> None:
    """Lets the counting windows end."""
    await database.fetch("UPDATE sign_in_failures SET window_ends_at = clock_timestamp() - interval '1 second'")


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@EXAMPLE.COM", " ada@Example.com "])
async def test_the_right_password_signs_in_whatever_the_emails_case(database: Database, email: str) -> None:
    async with accounts_client(database) as client:
        user = (await client.registered(email="Ada@example.com"))["user"]
        answer = await client.login(email)
        signed_in = answer.json()
        shown = await client.get("/users/me", token=signed_in["access_token"])

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert signed_in["user"] == user == shown.json()
    assert signed_in["expires_in"] == 900


async def test_a_password_is_the_same_however_its_letters_are_composed(database: Database) -> None:
    async with accounts_client(database) as client:
        await client.registered(email="ada@example.com", password="caf\u00e9 au lait")
        answer = await client.login("ada@example.com", "cafe\u0301 au lait")

    assert answer.status_code == 200


async def test_unknown_email_and_wrong_password_get_the_same_answer_for_the_same_work(database: Database) -> None:
    hasher = RecordingHasher()
    async with accounts_client(database, hasher=hasher) as client:
        await client.registered(email="ada@example.com")
        known = await client.login("ada@example.com", WRONG)
        unknown = await client.login("eda@example.com", WRONG)

    assert code_of(known) == code_of(unknown) == (401, "wrong_credentials")
    assert {**known.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    assert known.headers.keys() == unknown.headers.keys()
    assert len(hasher.compared) == 2
    assert hasher.compared[0] == hasher.compared[1]


async def test_a_user_without_a_password_has_none_that_fits(database: Database) -> None:
    async with accounts_client(database) as client:
        await client.post("/users/auth/dev", {"handle": "bob@example.com"})
        answer = await client.login("bob@example.com", "bob@example.com")

    assert code_of(answer) == (401, "wrong_credentials")


@pytest.mark.parametrize(
    "body",
    [
        {"email": "ada@example.com"},
        {"password": PASSWORD},
        {"email": "ada@example.com", "password": ""},
        {"email": "ada@example.com", "password": "x" * 129},
        {"email": "ada@example.com" + " " * 300, "password": PASSWORD},
        {"email": ["ada@example.com"], "password": PASSWORD},
        {"email": "ada@example.com", "password": PASSWORD, "remember": True},
    ],
    ids=lambda body: str(body)[:60],
)
async def test_wrong_values_are_refused(database: Database, body: dict[str, Any]) -> None:
    async with accounts_client(database) as client:
        assert code_of(await client.post("/auth/login", body)) == (422, "invalid_fields")


async def test_an_old_hash_is_renewed_when_the_password_is_at_hand(database: Database) -> None:
    old, new = QUICK, RecordingHasher(time_cost=2)
    async with accounts_client(database, hasher=old) as client:
        await client.registered(email="ada@example.com")
    async with accounts_client(database, hasher=new) as client:
        wrong = await client.login("ada@example.com", WRONG)
        untouched = await database.fetchval("SELECT password_hash FROM users")
        right = await client.login("ada@example.com")
        renewed = await database.fetchval("SELECT password_hash FROM users")
        again = await client.login("ada@example.com")

    assert [wrong.status_code, right.status_code, again.status_code] == [401, 200, 200]
    assert (",t=1," in untouched, ",t=2," in renewed) == (True, True)
    assert await database.fetchval("SELECT password_hash FROM users") == renewed


@pytest.mark.parametrize("email", ["ada@example.com", "nobody@example.com"])
async def test_too_many_failures_close_an_account_for_a_while_whether_or_not_it_is_there(
    database: Database, email: str
) -> None:
    async with accounts_client(database) as client:
        await client.registered(email="ada@example.com")
        cases = [email, email.upper(), f" {email}", email.title()]
        failed = [
            code_of(await client.login(cases[number % len(cases)], WRONG, address=f"203.0.113.{number}"))
            for number in range(FAILURES_PER_ACCOUNT_MAX)
        ]
        refused = await client.login(email, PASSWORD)
        other = await client.login("somebody@example.com", WRONG)
        await _lapse(database)
        later = await client.login(email, PASSWORD)

    assert set(failed) == {(401, "wrong_credentials")}
    assert code_of(refused) == (429, "rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert refused.json()["retry_after_seconds"] == int(refused.headers["retry-after"])
    assert other.status_code == 401
    assert later.status_code == (200 if email == "ada@example.com" else 401)


async def test_signing_in_clears_what_was_counted_against_the_account(database: Database) -> None:
    async with accounts_client(database) as client:
        await client.registered(email="ada@example.com")
        for _ in range(3):
            failed = [await client.login("ada@example.com", WRONG) for _ in range(FAILURES_PER_ACCOUNT_MAX - 1)]
            assert {answer.status_code for answer in failed} == {401}
            assert (await client.login("ada@example.com")).status_code == 200


async def test_a_window_that_ended_counts_from_the_start(database: Database) -> None:
    async with accounts_client(database) as client:
        for _ in range(2):
            failed = [await client.login("ada@example.com", WRONG) for _ in range(FAILURES_PER_ACCOUNT_MAX)]
            assert {answer.status_code for answer in failed} == {401}
            assert (await client.login("ada@example.com", WRONG)).status_code == 429
            await _lapse(database)


async def _fail_from(client: Any, address: str, times: int) -> set[int]:
    answers = [await client.login(f"user{number}@example.com", WRONG, address=address) for number in range(times)]
    return {answer.status_code for answer in answers}


async def test_too_many_failures_close_an_address_for_a_while(database: Database) -> None:
    async with accounts_client(database) as client:
        await client.registered(email="ada@example.com")
        failed = await _fail_from(client, "203.0.113.7", FAILURES_PER_ADDRESS_MAX)
        here = await client.login("ada@example.com", address="203.0.113.7")
        unknown = await client.login("nobody@example.com", address="203.0.113.7")
        forwarded = await client.post(
            "/auth/login",
            {"email": "ada@example.com", "password": PASSWORD},
            headers={"X-Forwarded-For": "198.51.100.1", "Forwarded": "for=198.51.100.1"},
            address="203.0.113.7",
        )
        elsewhere = await client.login("ada@example.com", address="198.51.100.1")

    assert failed == {401}
    assert code_of(here) == code_of(unknown) == code_of(forwarded) == (429, "rate_limited")
    assert elsewhere.status_code == 200


async def test_an_exempt_address_is_still_held_to_the_accounts_limit(database: Database) -> None:
    exempt = (ipaddress.ip_network("203.0.113.0/24"),)
    async with accounts_client(database, exempt=exempt) as client:
        failed = await _fail_from(client, "203.0.113.7", FAILURES_PER_ADDRESS_MAX + 1)
        tries = [
            await client.login("ada@example.com", WRONG, address="203.0.113.7")
            for _ in range(FAILURES_PER_ACCOUNT_MAX + 1)
        ]

    assert failed == {401}
    assert [answer.status_code for answer in tries] == [401] * FAILURES_PER_ACCOUNT_MAX + [429]


async def test_a_peer_without_an_address_can_sign_in(database: Database) -> None:
    async with accounts_client(database) as client:
        await client.registered(email="ada@example.com")
        wrong = await client.login("ada@example.com", WRONG, address=None)
        right = await client.login("ada@example.com", address=None)

    assert (wrong.status_code, right.status_code) == (401, 200)


async def test_a_volley_of_guesses_cannot_outrun_the_count(database: Database) -> None:
    """Tried: without the turns in `Throttle` more guesses are compared than are allowed."""
    hasher = RecordingHasher()
    async with accounts_client(database, hasher=hasher) as client:
        await client.registered(email="ada@example.com")
        answers = await asyncio.gather(*[client.login("ada@example.com", f"guess {n}") for n in range(60)])

    statuses = [answer.status_code for answer in answers]
    assert len(hasher.compared) == statuses.count(401) <= FAILURES_PER_ACCOUNT_MAX
    assert set(statuses) <= {401, 429, 503}


async def test_many_right_sign_ins_at_once_are_no_failures(database: Database) -> None:
    async with accounts_client(database) as client:
        await client.registered(email="ada@example.com")
        answers = await asyncio.gather(*[client.login("ada@example.com") for _ in range(15)])

    assert {answer.status_code for answer in answers} == {200}
    assert await database.fetchval("SELECT count(*) FROM sign_in_failures") == 0


async def test_a_user_keeps_a_bounded_number_of_sessions_the_newest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livedrop.accounts.begin.SESSIONS_PER_USER_MAX", 3)
    async with accounts_client(database) as client:
        first = await client.registered(email="ada@example.com")
        later = [(await client.login("ada@example.com")).json() for _ in range(3)]
        refreshed = [(await client.refresh(each["refresh_token"])).status_code for each in [first, *later]]

    assert refreshed == [401, 200, 200, 200]
