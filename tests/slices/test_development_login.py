"""The development login: a token for the asking, for a crowd, in development only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from accounts_client import SECRET, accounts_client, code_of
from livedrop.accounts import Tokens
from livedrop.accounts.login_in_development import DevelopmentLogins
from livedrop.kit.database import Connection, Database
from livedrop.kit.ids import new_id


async def test_a_handle_is_made_a_user_at_first_use_and_is_the_same_one_after(database: Database) -> None:
    async with accounts_client(database) as client:
        first = await client.post("/users/auth/dev", {"handle": "bob"})
        again = await client.post("/users/auth/dev", {"handle": " bob "})
        other = await client.post("/users/auth/dev", {"handle": "Bob"})
        shown = await client.get("/users/me", token=again.json()["token"])

    assert (first.status_code, set(first.json())) == (200, {"token", "user_id"})
    assert first.headers["cache-control"] == "no-store"
    assert first.json()["user_id"] == again.json()["user_id"] != other.json()["user_id"]
    assert (shown.json()["id"], shown.json()["name"], shown.json()["email"]) == (
        first.json()["user_id"],
        "bob",
        None,
    )
    facts = await database.fetch("SELECT type FROM subject_facts WHERE subject_id = $1", first.json()["user_id"])
    assert [fact["type"] for fact in facts] == ["account.registered"]


async def test_it_is_not_there_in_production(database: Database) -> None:
    async with accounts_client(database, development=False) as client:
        assert code_of(await client.post("/users/auth/dev", {"handle": "bob"})) == (404, "not_found")
        assert code_of(await client.post("/users/auth/dev", {})) == (404, "not_found")
    assert await database.fetchval("SELECT count(*) FROM users") == 0


@pytest.mark.parametrize(
    "body",
    [{}, {"handle": ""}, {"handle": " "}, {"handle": "x" * 101}, {"handle": "b\0b"}, {"handle": "bob", "role": 1}],
    ids=lambda body: str(body)[:40],
)
async def test_wrong_values_are_refused(database: Database, body: dict[str, Any]) -> None:
    async with accounts_client(database) as client:
        assert code_of(await client.post("/users/auth/dev", body)) == (422, "invalid_fields")


class CountingDatabase(Database):
    """Counts its transactions."""

    transactions = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        self.transactions += 1
        async with super().transaction() as tx:
            yield tx


async def test_a_crowd_is_let_in_by_few_transactions(database_url: str) -> None:
    database = CountingDatabase(database_url)
    await database.open()
    logins = DevelopmentLogins(database, Tokens([SECRET]))
    handles = [f"buyer {number}" for number in range(1_000)]
    first = await asyncio.gather(*[logins.login(handle) for handle in handles])
    again = await asyncio.gather(*[logins.login(handle) for handle in reversed(handles)])

    assert [login.user_id for login in first] == [login.user_id for login in reversed(again)]
    assert len({login.user_id for login in first}) == 1_000
    assert len({login.token for login in [*first, *again]}) == 2_000
    assert await database.fetchval("SELECT count(*) FROM sessions") == 2_000
    assert await database.fetchval("SELECT count(*) FROM subject_facts") == 1_000
    assert database.transactions < 20
    await database.close()


async def test_the_schema_alone_keeps_a_handle_to_one_user(database: Database) -> None:
    """Tried: without UNIQUE on `dev_handle` this one is red."""
    insert = "INSERT INTO users (id, name, dev_handle) VALUES ($1, 'Bob', 'bob')"
    await database.fetch(insert, new_id())
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.fetch(insert, new_id())
