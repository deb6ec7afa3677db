"""Creators' pages: becoming one, browsing, and being found by id or handle."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from accounts_client import AccountsClient, accounts_client, code_of
from livedrop.follows import CreatorRequired, card, creator_by_id, creators_by_id, require_creator
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.kit.refusals import NotFound

ADA = {"handle": "Ada_L", "display_name": "Ada Lovelace"}

NOBODY = "0191f2a4-7e1c-7d3b-9c11-000000000007"


async def _user(client: AccountsClient, handle: str = "ada") -> dict[str, Any]:
    user: dict[str, Any] = (await client.post("/users/auth/dev", {"handle": handle})).json()
    return user


async def _creator(client: AccountsClient, handle: str, display_name: str = "Somebody") -> dict[str, Any]:
    token = (await _user(client, handle))["token"]
    answer = await client.post("/creators", {"handle": handle, "display_name": display_name}, token=token)
    assert answer.status_code == 201, answer.text
    creator: dict[str, Any] = answer.json()
    return creator


async def test_a_user_becomes_a_creator_under_the_same_id(database: Database) -> None:
    async with accounts_client(database) as client:
        user = await _user(client)
        wanted = {"handle": "Ada_L", "display_name": " Ada ", "bio": " Poet ", "avatar_url": "https://e.com/a.png"}
        answer = await client.post("/creators", wanted, token=user["token"])

    assert answer.status_code == 201
    assert answer.json() == {
        "id": user["user_id"],
        "handle": "Ada_L",
        "display_name": "Ada",
        "bio": "Poet",
        "avatar_url": "https://e.com/a.png",
        "follower_count": 0,
        "me_follows": False,
    }
    facts = await database.fetch("SELECT payload FROM subject_facts WHERE type = 'creator.registered'")
    assert [msgspec.json.decode(fact["payload"]) for fact in facts] == [
        {
            "type": "creator.registered",
            "creator_id": user["user_id"],
            "handle": "Ada_L",
            "display_name": "Ada",
        }
    ]


async def test_becoming_a_creator_needs_a_user(database: Database) -> None:
    async with accounts_client(database) as client:
        assert code_of(await client.post("/creators", ADA)) == (401, "auth_required")
        ghost = client.tokens.issue(new_id(), new_id())
        assert code_of(await client.post("/creators", ADA, token=ghost)) == (401, "auth_required")


async def test_a_handle_is_one_creators_whatever_its_case(database: Database) -> None:
    async with accounts_client(database) as client:
        await _creator(client, "ada")
        user = await _user(client, "somebody else")
        taken = await client.post("/creators", {**ADA, "handle": "ADA"}, token=user["token"])
        free = await client.post("/creators", {**ADA, "handle": "ada2"}, token=user["token"])

    assert code_of(taken) == (409, "handle_taken")
    assert free.status_code == 201


async def test_nobody_is_a_creator_twice(database: Database) -> None:
    async with accounts_client(database) as client:
        await _creator(client, "ada")
        user = await _user(client, "ada")
        for handle in ("ada", "eda"):
            again = await client.post("/creators", {**ADA, "handle": handle}, token=user["token"])
            assert code_of(again) == (409, "already_creator")
    assert await database.fetchval("SELECT count(*) FROM subject_facts WHERE type = 'creator.registered'") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"handle": "a"},
        {"handle": "a" * 41},
        {"handle": "-ada"},
        {"handle": "a da"},
        {"handle": "ada\n"},
        {"handle": "ädä"},
        {"handle": "0191f2a4-7e1c-7d3b-9c11-000000000001"},
        {"handle": "0191f2a47e1c7d3b9c11000000000001"},
        {"display_name": " "},
        {"display_name": "a\0b"},
        {"bio": "a\0b"},
        {"bio": "x" * 10_001},
        {"avatar_url": "javascript:alert(1)"},
        {"avatar_url": "https://e.com/\0"},
        {"id": NOBODY},
        {"follower_count": 7},
    ],
    ids=lambda change: ascii(change)[:60],
)
async def test_wrong_values_are_refused(database: Database, change: dict[str, Any]) -> None:
    async with accounts_client(database) as client:
        answer = await client.post("/creators", ADA | change, token=(await _user(client))["token"])

    assert code_of(answer) == (422, "invalid_fields")
    assert answer.json()["errors"][0]["field"] == next(iter(change))
    assert await database.fetchval("SELECT count(*) FROM creators") == 0


async def test_a_retry_with_the_same_key_gets_the_first_answer(database: Database) -> None:
    async with accounts_client(database) as client:
        token = (await _user(client))["token"]
        key = {"Idempotency-Key": "k1"}
        first = await client.post("/creators", ADA, token=token, headers=key)
        again = await client.post("/creators", ADA, token=token, headers=key)
        other = await client.post("/creators", {**ADA, "handle": "eda"}, token=token, headers=key)
        empty = await client.post("/creators", ADA, token=token, headers={"Idempotency-Key": ""})

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert code_of(other) == (422, "idempotency_key_reused")
    assert code_of(empty) == (400, "idempotency_key_invalid")


async def test_a_refusal_keeps_no_key(database: Database) -> None:
    async with accounts_client(database) as client:
        await _creator(client, "ada")
        token = (await _user(client, "eda"))["token"]
        key = {"Idempotency-Key": "k1"}
        taken = await client.post("/creators", {**ADA, "handle": "ada"}, token=token, headers=key)
        free = await client.post("/creators", {**ADA, "handle": "eda"}, token=token, headers=key)

    assert (taken.status_code, free.status_code) == (409, 201)


@pytest.mark.parametrize("how", ["id", "handle", "upper", "lower"])
async def test_a_creator_is_found_by_id_or_handle(database: Database, how: str) -> None:
    async with accounts_client(database) as client:
        made = await _creator(client, "Ada_L")
        reference = {"id": made["id"], "handle": "Ada_L", "upper": "ADA_L", "lower": "ada_l"}[how]
        answer = await client.get(f"/creators/{reference}")

    assert (answer.status_code, answer.json()) == (200, made)


@pytest.mark.parametrize("reference", [NOBODY, "nobody", "x", "%00", "a%20b", "x" * 200, "%F0%9F%92%A7"])
async def test_who_is_no_creator_is_not_found(database: Database, reference: str) -> None:
    async with accounts_client(database) as client:
        user = await _user(client)
        assert code_of(await client.get(f"/creators/{reference}")) == (404, "not_found")
        assert code_of(await client.get(f"/creators/{user['user_id']}")) == (404, "not_found")


async def test_followers_can_be_asked_for_and_are_none_yet(database: Database) -> None:
    async with accounts_client(database) as client:
        made = await _creator(client, "ada")
        answer = await client.get("/creators/ada?include=followers")
        wrong = await client.get("/creators/ada?include=everything")

    assert answer.json() == made | {"followers": {"items": [], "next": None}}
    assert code_of(wrong) == (422, "invalid_fields")


async def _walk(client: AccountsClient, query: str) -> list[str]:
    """The handles on all pages."""
    handles: list[str] = []
    after = ""
    while True:
        page = (await client.get(f"/creators?{query}{after}")).json()
        handles += [creator["handle"] for creator in page["items"]]
        if page["next"] is None:
            return handles
        after = f"&after={page['next']}"


async def test_creators_are_listed_newest_first_page_by_page(database: Database) -> None:
    async with accounts_client(database) as client:
        handles = [(await _creator(client, f"creator-{number}"))["handle"] for number in range(7)]
        pages = [(await client.get(f"/creators?limit=3&page={number}")).json()["items"] for number in (1, 2, 3, 4)]

        assert await _walk(client, "limit=3") == handles[::-1]
        assert await _walk(client, "limit=7") == handles[::-1]
        assert [len(page) for page in pages] == [3, 3, 1, 0]
        assert [creator["handle"] for page in pages for creator in page] == handles[::-1]


async def test_a_cursor_repeats_and_skips_nobody_when_creators_join_meanwhile(database: Database) -> None:
    async with accounts_client(database) as client:
        handles = [(await _creator(client, f"creator-{number}"))["handle"] for number in range(4)]
        first = (await client.get("/creators?limit=2")).json()
        await _creator(client, "newcomer")
        second = (await client.get(f"/creators?limit=2&after={first['next']}")).json()

    assert [creator["handle"] for creator in first["items"] + second["items"]] == handles[::-1]
    assert second["next"] is None


async def test_creators_who_joined_at_the_same_moment_are_all_listed(database: Database) -> None:
    async with accounts_client(database) as client:
        for number in range(5):
            await _creator(client, f"creator-{number}")
        await database.fetch("UPDATE creators SET created_at = '2026-01-01'")

        assert sorted(await _walk(client, "limit=2")) == [f"creator-{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("ada", ["ada-l"]),
        ("LOVE", ["ada-l"]),
        ("élan", ["grace", "ada-l"]),
        ("elan ada", ["ada-l"]),
        ("%25", []),
        ("_", []),
        ("\\", []),
        ("", ["grace", "ada-l"]),
        ("+", ["grace", "ada-l"]),
    ],
)
async def test_a_question_is_looked_for_in_handles_and_names(
    database: Database, question: str, found: list[str]
) -> None:
    async with accounts_client(database) as client:
        await _creator(client, "ada-l", "Ada Lovelace Élan")
        await _creator(client, "grace", "Grace Elan")
        assert await _walk(client, f"q={question}") == found


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", (422, "invalid_fields")),
        ("limit=101", (422, "invalid_fields")),
        ("limit=ten", (422, "invalid_fields")),
        ("page=0", (422, "invalid_fields")),
        ("page=501", (422, "invalid_fields")),
        ("page=99999999999999999999999999", (422, "invalid_fields")),
        ("q=%00", (422, "invalid_fields")),
        ("q=" + "x" * 201, (422, "invalid_fields")),
        ("after=nonsense", (400, "bad_cursor")),
        ("after=%F0%9F%92%A7", (400, "bad_cursor")),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_wrong_question_is_refused(database: Database, query: str, code: tuple[int, str]) -> None:
    async with accounts_client(database) as client:
        assert code_of(await client.get(f"/creators?{query}")) == code


async def test_a_cursor_that_was_tampered_with_or_carried_elsewhere_is_refused(database: Database) -> None:
    async with accounts_client(database) as client:
        for number in range(3):
            await _creator(client, f"creator-{number}")
        cursor = (await client.get("/creators?limit=1")).json()["next"]
        tampered = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")

        assert code_of(await client.get(f"/creators?after={tampered}")) == (400, "bad_cursor")
        assert code_of(await client.get(f"/creators?q=creator&after={cursor}")) == (400, "bad_cursor")
        assert code_of(await client.get(f"/creators?page=1&after={cursor}")) == (422, "invalid_fields")


async def test_other_slices_ask_for_a_creator(database: Database) -> None:
    async with accounts_client(database) as client:
        creator_id = UUID((await _creator(client, "ada", "Ada"))["id"])
        user_id = UUID((await _user(client, "no creator"))["user_id"])

    async with database.transaction() as tx:
        creator = await require_creator(tx, creator_id)
        assert await creator_by_id(tx, creator_id) == creator
        assert await creators_by_id(tx, [creator_id, user_id, creator_id]) == {creator_id: creator}
        assert await creators_by_id(tx, []) == {}
        with pytest.raises(CreatorRequired) as refused:
            await require_creator(tx, user_id)
        with pytest.raises(NotFound):
            await creator_by_id(tx, user_id)
    assert (refused.value.code, refused.value.status) == ("creator_required", 403)
    assert msgspec.to_builtins(card(creator)) == {
        "id": str(creator_id),
        "handle": "ada",
        "display_name": "Ada",
        "avatar_url": None,
    }


async def test_the_schema_alone_keeps_a_handle_to_one_creator(database: Database) -> None:
    """Tried: without the index `creators_handle` this one is red."""
    async with accounts_client(database) as client:
        await _creator(client, "ada")
        user_id = (await _user(client, "eda"))["user_id"]
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.fetch(
            "INSERT INTO creators (id, handle, display_name, search) VALUES ($1, 'ADA', 'Ada', '')", UUID(user_id)
        )
