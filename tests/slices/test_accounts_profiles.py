"""Profiles: one's own in full, others' without their e-mail."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from accounts_client import accounts_client, code_of
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id

NOBODY = "0191f2a4-7e1c-7d3b-9c11-000000000007"


async def test_others_see_a_name_and_no_email(database: Database) -> None:
    async with accounts_client(database) as client:
        ada, eda = await client.registered(name="Ada"), await client.registered()
        path = f"/users/{ada['user']['id']}"
        answers = [
            await client.get(path),
            await client.get(path, token=eda["access_token"]),
            await client.get(path, token=ada["access_token"]),
        ]

    for answer in answers:
        assert answer.status_code == 200
        assert answer.json() == {
            "id": ada["user"]["id"],
            "name": "Ada",
            "created_at": ada["user"]["created_at"],
        }


@pytest.mark.parametrize("user_id", [NOBODY, "nobody", "7", "%00"])
async def test_who_is_not_there_is_not_found(database: Database, user_id: str) -> None:
    async with accounts_client(database) as client:
        assert code_of(await client.get(f"/users/{user_id}")) == (404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_ones_own_profile_needs_a_token(database: Database, method: str) -> None:
    async with accounts_client(database) as client:
        assert code_of(await client.call(method, "/users/me", {"name": "x"})) == (401, "auth_required")
        assert code_of(await client.call(method, "/users/me", {"name": "x"}, token="x")) == (401, "auth_required")


async def test_a_token_that_outlived_its_user_asks_to_sign_in(database: Database) -> None:
    async with accounts_client(database) as client:
        token = client.tokens.issue(new_id(), new_id())
        assert code_of(await client.get("/users/me", token=token)) == (401, "auth_required")
        assert code_of(await client.patch("/users/me", {"name": "x"}, token=token)) == (401, "auth_required")


async def test_a_name_can_be_changed_and_that_is_a_fact(database: Database) -> None:
    async with accounts_client(database) as client:
        ada = await client.registered(name="Ada")
        changed = await client.patch("/users/me", {"name": " Ada Lovelace "}, token=ada["access_token"])
        shown = await client.get("/users/me", token=ada["access_token"])

    assert (changed.status_code, changed.json()) == (200, ada["user"] | {"name": "Ada Lovelace"})
    assert shown.json() == changed.json()
    facts = await database.fetch("SELECT payload FROM subject_facts WHERE type = 'account.updated'")
    assert [msgspec.json.decode(fact["payload"]) for fact in facts] == [
        {"type": "account.updated", "user_id": ada["user"]["id"], "name": "Ada Lovelace"}
    ]


@pytest.mark.parametrize("change", [{}, {"name": "Ada"}, {"name": "Ada "}])
async def test_a_change_that_changes_nothing_is_no_fact(database: Database, change: dict[str, Any]) -> None:
    async with accounts_client(database) as client:
        ada = await client.registered(name="Ada")
        answer = await client.patch("/users/me", change, token=ada["access_token"])

    assert (answer.status_code, answer.json()) == (200, ada["user"])
    assert await database.fetchval("SELECT count(*) FROM subject_facts WHERE type = 'account.updated'") == 0


@pytest.mark.parametrize(
    "change",
    [{"name": None}, {"name": ""}, {"name": "A\0da"}, {"name": 7}, {"email": "eda@example.com"}, {"id": "x"}],
    ids=str,
)
async def test_wrong_values_are_refused_and_change_nothing(database: Database, change: dict[str, Any]) -> None:
    async with accounts_client(database) as client:
        ada = await client.registered()
        answer = await client.patch("/users/me", change, token=ada["access_token"])
        shown = await client.get("/users/me", token=ada["access_token"])

    assert code_of(answer) == (422, "invalid_fields")
    assert shown.json() == ada["user"]
