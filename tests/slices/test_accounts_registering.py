"""Registering: one account for an e-mail, whatever its case."""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec
import pytest

from accounts_client import PASSWORD, accounts_client, code_of
from livedrop.accounts.rules import FAILURES_PER_ADDRESS_MAX
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id

ADA = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada"}

NOBODY = "0191f2a4-7e1c-7d3b-9c11-000000000007"


async def test_registering_makes_an_account_and_signs_it_in(database: Database) -> None:
    async with accounts_client(database) as client:
        answer = await client.post("/auth/register", {**ADA, "email": " Ada@Example.com ", "name": " Ada "})
        signed_in = answer.json()
        shown = await client.get("/users/me", token=signed_in["access_token"])

    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert set(signed_in) == {"user", "access_token", "refresh_token", "expires_in"}
    assert signed_in["expires_in"] == 900
    assert set(signed_in["user"]) == {"id", "name", "email", "created_at"}
    assert (signed_in["user"]["name"], signed_in["user"]["email"]) == ("Ada", "Ada@Example.com")
    assert (shown.status_code, shown.json()) == (200, signed_in["user"])


async def test_only_digests_and_hashes_are_stored(database: Database) -> None:
    async with accounts_client(database) as client:
        signed_in = await client.registered(password="pässwörd of mine")

    stored = ""
    for table in ("users", "sessions", "subject_facts"):
        stored += str(await database.fetch(f"SELECT * FROM {table}"))
    assert "$argon2id$" in stored
    for secret in ("pässwörd of mine", signed_in["access_token"], signed_in["refresh_token"]):
        assert secret not in stored


async def test_the_fact_is_written_with_the_account(database: Database) -> None:
    async with accounts_client(database) as client:
        user = (await client.registered(name="Ada"))["user"]

    facts = await database.fetch("SELECT subject_id, type, payload FROM subject_facts")
    assert [(str(fact["subject_id"]), fact["type"]) for fact in facts] == [(user["id"], "account.registered")]
    assert msgspec.json.decode(facts[0]["payload"]) == {
        "type": "account.registered",
        "user_id": user["id"],
        "name": "Ada",
    }


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@EXAMPLE.COM", " ada@Example.com\t"])
async def test_an_email_that_is_taken_is_refused_whatever_its_case(database: Database, email: str) -> None:
    async with accounts_client(database) as client:
        await client.registered(email="Ada@example.com")
        answer = await client.post("/auth/register", {**ADA, "email": email})

    assert code_of(answer) == (409, "email_taken")
    assert await database.fetchval("SELECT count(*) FROM users") == 1


@pytest.mark.parametrize(
    "change",
    [
        {"password": "1234567"},
        {"password": "x" * 129},
        {"password": 12345678},
        {"email": "ada"},
        {"email": "ada@example"},
        {"email": "a da@example.com"},
        {"email": "ada@example.com\0"},
        {"email": "ada@exämple.com"},
        {"email": "a" * 250 + "@example.com"},
        {"email": None},
        {"name": ""},
        {"name": "  \t "},
        {"name": "A\0da"},
        {"name": "x" * 101},
        {"name": None},
        {"role": "admin"},
        {"id": NOBODY},
    ],
    ids=str,
)
async def test_wrong_values_are_refused_and_nothing_is_made(database: Database, change: dict[str, Any]) -> None:
    async with accounts_client(database) as client:
        answer = await client.post("/auth/register", ADA | change)

    assert code_of(answer) == (422, "invalid_fields")
    assert answer.json()["errors"][0]["field"] == next(iter(change))
    assert await database.fetchval("SELECT count(*) FROM users") == 0


async def test_the_longest_values_are_taken(database: Database) -> None:
    async with accounts_client(database) as client:
        email = "a" * 242 + "@example.com"
        answer = await client.post("/auth/register", {"email": email, "password": "💧" * 128, "name": "é" * 100})
        again = await client.login(email, "💧" * 128)

    assert (answer.status_code, again.status_code) == (201, 200)


async def test_asking_for_accounts_by_registering_them_is_slow(database: Database) -> None:
    async with accounts_client(database) as client:
        await client.registered(email="ada@example.com")
        taken = [code_of(await client.post("/auth/register", ADA)) for _ in range(FAILURES_PER_ADDRESS_MAX)]
        known = await client.post("/auth/register", ADA)
        unknown = await client.post("/auth/register", {**ADA, "email": "eda@example.com"})
        elsewhere = await client.post("/auth/register", {**ADA, "email": "ida@example.com"}, address="198.51.100.1")

    assert set(taken) == {(409, "email_taken")}
    assert code_of(known) == code_of(unknown) == (429, "rate_limited")
    assert elsewhere.status_code == 201


async def test_the_schema_alone_keeps_an_email_to_one_account(database: Database) -> None:
    """Tried: without the index `users_email` this one is red."""
    insert = "INSERT INTO users (id, name, email, password_hash) VALUES ($1, 'Ada', $2, 'hash')"
    await database.fetch(insert, new_id(), "ada@example.com")
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.fetch(insert, new_id(), "ADA@Example.com")
