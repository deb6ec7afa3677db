"""Accounts from many sides at once: two API processes on one database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from accounts_client import PASSWORD, SECRET, AccountsClient, accounts_client
from livedrop.accounts import Tokens
from livedrop.accounts.login_in_development import DevelopmentLogins
from livedrop.accounts.rules import FAILURES_PER_ACCOUNT_MAX
from livedrop.kit.database import Database

Processes = tuple[AccountsClient, AccountsClient]


@pytest.fixture
async def processes(database_url: str) -> AsyncIterator[Processes]:
    """Two API processes, each with its own connections, guard and turns."""
    one, two = await Database(database_url).open(), await Database(database_url).open()
    async with accounts_client(one) as first, accounts_client(two) as second:
        yield first, second
    await one.close()
    await two.close()


async def test_a_refresh_token_sent_many_times_at_once_has_one_successor(
    processes: Processes, database: Database
) -> None:
    token = (await processes[0].registered())["refresh_token"]
    answers = await asyncio.gather(*[processes[number % 2].refresh(token) for number in range(16)])

    assert {answer.status_code for answer in answers} == {200}
    (successor,) = {answer.json()["refresh_token"] for answer in answers}
    assert successor != token
    assert (await processes[1].refresh(successor)).status_code == 200
    assert (await processes[0].refresh(token)).status_code == 401
    assert await database.fetchval("SELECT count(*) FROM sessions") == 1


async def test_signing_out_while_refreshing_leaves_nobody_signed_in(processes: Processes) -> None:
    for _ in range(10):
        signed_in = await processes[0].registered()
        refreshed, signed_out = await asyncio.gather(
            processes[1].refresh(signed_in["refresh_token"]),
            processes[0].post("/auth/logout", token=signed_in["access_token"]),
        )

        assert signed_out.status_code == 204
        assert refreshed.status_code in (200, 401)
        left = refreshed.json().get("refresh_token", signed_in["refresh_token"])
        assert (await processes[1].refresh(left)).status_code == 401


async def test_an_email_registered_many_times_at_once_is_one_account(
    processes: Processes, database: Database
) -> None:
    emails = ["ada@example.com", "ADA@example.com", "Ada@Example.com", "ada@EXAMPLE.com"]
    answers = await asyncio.gather(
        *[
            processes[number % 2].post(
                "/auth/register", {"email": emails[number % 4], "password": PASSWORD, "name": "Ada"}
            )
            for number in range(12)
        ]
    )

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 11}
    assert await database.fetchval("SELECT count(*) FROM users") == 1
    assert await database.fetchval("SELECT count(*) FROM subject_facts") == 1


async def test_handles_used_for_the_first_time_by_many_at_once_are_one_user_each(
    processes: Processes, database: Database
) -> None:
    handles = [f"buyer {number}" for number in range(40)]
    calls = [
        process.post("/users/auth/dev", {"handle": handle})
        for process, order in ((processes[0], handles), (processes[1], handles[::-1])) * 3
        for handle in order
    ]
    answers = await asyncio.gather(*calls)

    assert {answer.status_code for answer in answers} == {200}
    assert Counter(Counter(answer.json()["user_id"] for answer in answers).values()) == {6: 40}
    assert await database.fetchval("SELECT count(*) FROM users") == 40
    assert await database.fetchval("SELECT count(*) FROM subject_facts") == 40


async def test_two_batches_of_first_uses_never_wait_for_each_other(database_url: str) -> None:
    """Tried: where the new users are not sorted, PostgreSQL breaks the deadlock and this one is red."""
    one, two = await Database(database_url).open(), await Database(database_url).open()
    doors = [DevelopmentLogins(each, Tokens([SECRET])) for each in (one, two)]
    for round_ in range(5):
        handles = [f"buyer {round_}-{number}" for number in range(200)]
        first, second = await asyncio.gather(
            asyncio.gather(*[doors[0].login(handle) for handle in handles]),
            asyncio.gather(*[doors[1].login(handle) for handle in handles[::-1]]),
        )
        assert [login.user_id for login in first] == [login.user_id for login in second[::-1]]
    await one.close()
    await two.close()


async def test_a_handle_that_many_creators_want_at_once_goes_to_one(processes: Processes, database: Database) -> None:
    tokens = [
        (await processes[0].post("/users/auth/dev", {"handle": f"user {number}"})).json()["token"]
        for number in range(10)
    ]
    answers = await asyncio.gather(
        *[
            processes[number % 2].post(
                "/creators", {"handle": "ADA" if number % 3 else "ada", "display_name": "Ada"}, token=token
            )
            for number, token in enumerate(tokens)
        ]
    )

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"handle_taken"}
    assert await database.fetchval("SELECT count(*) FROM creators") == 1


async def test_a_user_who_becomes_a_creator_many_times_at_once_is_one(
    processes: Processes, database: Database
) -> None:
    token = (await processes[0].post("/users/auth/dev", {"handle": "ada"})).json()["token"]
    answers = await asyncio.gather(
        *[
            processes[number % 2].post("/creators", {"handle": f"ada-{number}", "display_name": "Ada"}, token=token)
            for number in range(10)
        ]
    )

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"already_creator"}
    assert await database.fetchval("SELECT count(*) FROM subject_facts WHERE type = 'creator.registered'") == 1


async def test_guesses_through_several_processes_are_counted_together(processes: Processes) -> None:
    """Each process may have one guess under way when the limit is reached, no more."""
    await processes[0].registered(email="ada@example.com")
    answers = await asyncio.gather(
        *[processes[number % 2].login("ada@example.com", f"guess {number}") for number in range(36)]
    )

    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {401, 429}
    assert FAILURES_PER_ACCOUNT_MAX <= statuses[401] <= FAILURES_PER_ACCOUNT_MAX + 1
