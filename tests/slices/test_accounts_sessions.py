"""Sessions: refreshing, reuse, the lost answer, signing out, and what other processes hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import jwt
import pytest

from accounts_client import AccountsClient, accounts_client, code_of
from livedrop.accounts import hear_revocations, prune, watch_revocations
from livedrop.accounts.rules import GRACE_SECONDS, SESSION_DAYS_MAX, SESSION_IDLE_DAYS
from livedrop.kit.database import Database, is_away
from livedrop.kit.ids import new_id
from livedrop.web.guards import AuthRequired, Guard


async def _pass_seconds(database: Database, seconds: int) -> None:
    """As if so much time had passed for every session."""
    await database.fetch(
        """
        UPDATE sessions SET refreshed_at = refreshed_at - $1 * interval '1 second',
            created_at = created_at - $1 * interval '1 second', expires_at = expires_at - $1 * interval '1 second',
            access_ends_at = access_ends_at - $1 * interval '1 second',
            revoked_at = revoked_at - $1 * interval '1 second'
        """,
        seconds,
    )


async def _refreshed(client: AccountsClient, refresh_token: str) -> dict[str, Any]:
    answer = await client.refresh(refresh_token)
    assert answer.status_code == 200, answer.text
    signed_in: dict[str, Any] = answer.json()
    return signed_in


async def _is_signed_in(client: AccountsClient, token: str) -> bool:
    answer = await client.get("/users/me", token=token)
    assert answer.status_code == 200 or code_of(answer) == (401, "auth_required")
    return answer.status_code == 200


def _accepts(guard: Guard, token: str) -> bool:
    try:
        guard.caller(f"Bearer {token}".encode())
    except AuthRequired:
        return False
    return True


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def _session_of(token: str) -> UUID:
    return UUID(jwt.decode(token, options={"verify_signature": False})["sid"])


async def test_refreshing_gives_a_new_pair_for_the_same_session(database: Database) -> None:
    async with accounts_client(database) as client:
        first = await client.registered()
        answer = await client.refresh(first["refresh_token"])
        second = answer.json()
        third = await _refreshed(client, second["refresh_token"])

        assert answer.headers["cache-control"] == "no-store"
        assert second["user"] == first["user"]
        assert second["expires_in"] == 900
        assert len({each["refresh_token"] for each in (first, second, third)}) == 3
        assert len({each["access_token"] for each in (first, second, third)}) == 3
        assert len({_session_of(each["access_token"]) for each in (first, second, third)}) == 1
        assert await _is_signed_in(client, third["access_token"])
    assert await database.fetchval("SELECT count(*) FROM sessions") == 1


async def test_a_token_used_twice_ends_its_session_for_both_who_have_it(database: Database) -> None:
    async with accounts_client(database) as client:
        stolen = await client.registered(email="ada@example.com")
        thief = await _refreshed(client, stolen["refresh_token"])
        thief = await _refreshed(client, thief["refresh_token"])
        other = (await client.login("ada@example.com")).json()

        owner = await client.refresh(stolen["refresh_token"])

        assert code_of(owner) == (401, "session_ended")
        assert code_of(await client.refresh(thief["refresh_token"])) == (401, "session_ended")
        assert not await _is_signed_in(client, thief["access_token"])
        assert not await _is_signed_in(client, stolen["access_token"])
        assert await _is_signed_in(client, other["access_token"])
        await _refreshed(client, other["refresh_token"])


async def test_a_lost_answer_does_not_lock_the_user_out(database: Database) -> None:
    async with accounts_client(database) as client:
        first = await client.registered()
        lost = await _refreshed(client, first["refresh_token"])
        await _pass_seconds(database, GRACE_SECONDS - 5)
        again = await _refreshed(client, first["refresh_token"])
        once_more = await _refreshed(client, first["refresh_token"])

        assert again["refresh_token"] == once_more["refresh_token"] == lost["refresh_token"]
        assert await _is_signed_in(client, again["access_token"])
        await _refreshed(client, again["refresh_token"])


async def test_the_grace_ends_with_the_first_use_of_the_successor(database: Database) -> None:
    async with accounts_client(database) as client:
        first = await client.registered()
        second = await _refreshed(client, first["refresh_token"])
        third = await _refreshed(client, second["refresh_token"])

        assert code_of(await client.refresh(first["refresh_token"])) == (401, "session_ended")
        assert code_of(await client.refresh(third["refresh_token"])) == (401, "session_ended")


async def test_the_grace_ends_with_time(database: Database) -> None:
    async with accounts_client(database) as client:
        first = await client.registered()
        second = await _refreshed(client, first["refresh_token"])
        await _pass_seconds(database, GRACE_SECONDS + 1)

        assert code_of(await client.refresh(first["refresh_token"])) == (401, "session_ended")
        assert code_of(await client.refresh(second["refresh_token"])) == (401, "session_ended")


async def test_a_forged_token_ends_nothing(database: Database) -> None:
    async with accounts_client(database) as client:
        real = await client.registered()
        session_id = _session_of(real["access_token"])
        marked_elsewhere = type(client.tokens.refresh)(["somebody's own secret, long enough as well"])
        forged = marked_elsewhere.write(session_id, bytes(32))

        assert code_of(await client.refresh(forged)) == (401, "session_ended")
        assert (await client.post("/auth/logout", {"refresh_token": forged})).status_code == 204
        await _refreshed(client, real["refresh_token"])


@pytest.mark.parametrize("what", ["access token", "garbage", "unknown session"])
async def test_what_is_no_refresh_token_is_refused(database: Database, what: str) -> None:
    async with accounts_client(database) as client:
        real = await client.registered()
        said = {
            "access token": real["access_token"][:200],
            "garbage": "no token",
            "unknown session": client.tokens.refresh.write(UUID(int=7), bytes(32)),
        }
        assert code_of(await client.refresh(said[what])) == (401, "session_ended")


@pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": "x" * 201}, {"refresh_token": None}])
async def test_wrong_values_are_refused(database: Database, body: dict[str, Any]) -> None:
    async with accounts_client(database) as client:
        assert code_of(await client.post("/auth/refresh", body)) == (422, "invalid_fields")


async def test_a_refresh_token_is_no_access_token(database: Database) -> None:
    async with accounts_client(database) as client:
        real = await client.registered()
        assert not await _is_signed_in(client, real["refresh_token"])


async def test_a_session_ends_when_it_is_not_used_and_at_last_in_any_case(database: Database) -> None:
    async with accounts_client(database) as client:
        idle, busy = await client.registered(), await client.registered()
        days = 0
        while days < SESSION_DAYS_MAX - SESSION_IDLE_DAYS:
            await _pass_seconds(database, (SESSION_IDLE_DAYS - 1) * 86_400)
            days += SESSION_IDLE_DAYS - 1
            busy = await _refreshed(client, busy["refresh_token"])
        ends_after = await database.fetchval(
            "SELECT expires_at - created_at FROM sessions WHERE id = $1", _session_of(busy["access_token"])
        )

        assert ends_after.days == SESSION_DAYS_MAX
        assert code_of(await client.refresh(idle["refresh_token"])) == (401, "session_ended")
        await _pass_seconds(database, (SESSION_DAYS_MAX - days) * 86_400)
        assert code_of(await client.refresh(busy["refresh_token"])) == (401, "session_ended")


async def test_signing_out_ends_the_session_at_once_and_no_other(database: Database) -> None:
    async with accounts_client(database) as client:
        here = await client.registered(email="ada@example.com")
        there = (await client.login("ada@example.com")).json()
        answer = await client.post("/auth/logout", token=here["access_token"])

        assert (answer.status_code, answer.content) == (204, b"")
        assert not await _is_signed_in(client, here["access_token"])
        assert code_of(await client.refresh(here["refresh_token"])) == (401, "session_ended")
        assert await _is_signed_in(client, there["access_token"])
        assert code_of(await client.post("/auth/logout", token=here["access_token"])) == (401, "auth_required")


async def test_signing_out_ends_every_access_token_of_the_session(database: Database) -> None:
    async with accounts_client(database) as client:
        first = await client.registered()
        second = await _refreshed(client, first["refresh_token"])
        assert await _is_signed_in(client, second["access_token"])
        await client.post("/auth/logout", {}, token=first["access_token"])

        assert not await _is_signed_in(client, second["access_token"])


async def test_signing_out_works_with_the_refresh_token_alone(database: Database) -> None:
    async with accounts_client(database) as client:
        first = await client.registered()
        answers = [await client.post("/auth/logout", {"refresh_token": first["refresh_token"]}) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [204, 204]
        assert not await _is_signed_in(client, first["access_token"])
        assert code_of(await client.refresh(first["refresh_token"])) == (401, "session_ended")


async def test_signing_out_works_after_the_access_token_has_ended(database: Database) -> None:
    async with accounts_client(database) as client:
        first = await client.registered()
        ended = client.tokens.issue(new_id(), new_id(), lifetime_seconds=-60)
        answer = await client.post("/auth/logout", {"refresh_token": first["refresh_token"]}, token=ended)

        assert answer.status_code == 204
        assert code_of(await client.refresh(first["refresh_token"])) == (401, "session_ended")
        assert code_of(await client.post("/auth/logout", token=ended)) == (401, "auth_required")


async def test_signing_out_needs_somebody_to_sign_out(database: Database) -> None:
    async with accounts_client(database) as client:
        assert code_of(await client.post("/auth/logout")) == (401, "auth_required")
        assert code_of(await client.post("/auth/logout", {"everywhere": True})) == (422, "invalid_fields")


async def test_a_development_session_can_be_signed_out_of(database: Database) -> None:
    async with accounts_client(database) as client:
        token = (await client.post("/users/auth/dev", {"handle": "bob"})).json()["token"]
        assert await _is_signed_in(client, token)
        assert (await client.post("/auth/logout", token=token)).status_code == 204
        assert not await _is_signed_in(client, token)


async def test_other_processes_hear_of_it(database: Database) -> None:
    async with accounts_client(database) as here, accounts_client(database) as there:
        ended, kept = await here.registered(), await here.registered()
        assert _accepts(there.guard, ended["access_token"])
        watching = asyncio.create_task(watch_revocations(database, there.guard, every_seconds=0.01))
        await here.post("/auth/logout", token=ended["access_token"])
        await _until(lambda: not _accepts(there.guard, ended["access_token"]))

        assert _accepts(there.guard, kept["access_token"])
        watching.cancel()


async def test_a_process_that_starts_later_hears_of_all_that_still_matters(database: Database) -> None:
    async with accounts_client(database) as here, accounts_client(database) as there:
        ended, kept = await here.registered(), await here.registered()
        await here.post("/auth/logout", token=ended["access_token"])
        await _pass_seconds(database, 600)
        await hear_revocations(database, there.guard)

        assert not _accepts(there.guard, ended["access_token"])
        assert _accepts(there.guard, kept["access_token"])


async def test_watching_survives_the_database(own_postgres: Any) -> None:
    database = await Database(own_postgres.url).open()
    guard = Guard(lambda token: pytest.fail(f"nobody asks for {token}"))
    heard: list[UUID] = []
    guard.forget = lambda sessions, until: heard.extend(sessions)  # type: ignore[method-assign]
    watching = asyncio.create_task(watch_revocations(database, guard, every_seconds=0.01))
    try:
        await own_postgres.stop_immediately()
        with pytest.raises(Exception) as error:
            await hear_revocations(database, guard)
        assert is_away(error.value)
        await own_postgres.start()
        async with accounts_client(database) as client:
            ended = await client.registered()
            await client.post("/auth/logout", {"refresh_token": ended["refresh_token"]})
        await _until(lambda: _session_of(ended["access_token"]) in heard)
        assert not watching.done()
    finally:
        watching.cancel()
        await database.close()


async def test_what_has_run_out_is_pruned_and_nothing_else(database: Database) -> None:
    async with accounts_client(database) as client:
        await client.registered()
        await client.post("/users/auth/dev", {"handle": "bob"})
        out = await client.registered()
        await client.post("/auth/logout", token=out["access_token"])
        await client.login("nobody@example.com", "a guess")
        assert await prune(database) == 0
        await _pass_seconds(database, 13 * 3600)
        await database.fetch("UPDATE sign_in_failures SET window_ends_at = window_ends_at - interval '13 hours'")
        kept = await client.registered()

        assert await prune(database) == 4  # the one signed out, the one of the development login, two counts
        await _pass_seconds(database, SESSION_IDLE_DAYS * 86_400)
        assert await prune(database) == 2
        assert await prune(database) == 0
        assert code_of(await client.refresh(kept["refresh_token"])) == (401, "session_ended")


async def test_pruning_goes_on_past_one_statement(database: Database) -> None:
    async with accounts_client(database) as client:
        for _ in range(5):
            await client.registered()
    await _pass_seconds(database, SESSION_IDLE_DAYS * 86_400)

    assert await prune(database, rows_per_statement_max=2) == 5
