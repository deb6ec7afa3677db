"""Adding products, and what none can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from catalogue_client import MUG, catalogue_client, code_of, facts_of, made, make_creator, make_user, user_of

from livedrop.kit.database import Database
from livedrop.kit.ids import new_id

Headers = dict[str, str]
SIZES = [{"sku": "TEE-S", "name": "S"}, {"sku": "TEE-XL", "name": "XL", "price_minor": 1500}]


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with catalogue_client(database) as client:
        yield client


@pytest.fixture
async def creator(database: Database) -> Headers:
    return await make_creator(database)


async def test_a_product_is_added_with_everything_said_of_it(client: httpx.AsyncClient, creator: Headers) -> None:
    product = await made(
        client,
        creator,
        title="  Tee ",
        description="Soft.",
        image_url="https://example.org/tee.png",
        tags=[" Summer  Sale", "summer sale", "TEE"],
        attributes={"cotton": 0.95, "washable": True, "wash_celsius": 40, "fit": "loose"},
        variants=SIZES,
    )
    assert product.pop("created_at").endswith("Z")
    assert [variant.pop("id") != product["id"] for variant in product["variants"]] == [True, True]
    assert product == {
        "id": product["id"],
        "creator_id": str(user_of(creator)),
        "title": "Tee",
        "description": "Soft.",
        "price_minor": 1200,
        "currency": "EUR",
        "image_url": "https://example.org/tee.png",
        "tags": ["summer sale", "tee"],
        "attributes": {"cotton": 0.95, "washable": True, "wash_celsius": 40, "fit": "loose"},
        "variants": [
            {"sku": "TEE-S", "name": "S", "price_minor": None},
            {"sku": "TEE-XL", "name": "XL", "price_minor": 1500},
        ],
        "archived": False,
    }


@pytest.mark.parametrize("variants", [{}, {"variants": []}])
async def test_without_variants_there_is_one_named_default(
    client: httpx.AsyncClient, creator: Headers, variants: dict[str, Any]
) -> None:
    first, second = await made(client, creator, **variants), await made(client, creator, **variants)
    assert [variant["name"] for variant in first["variants"]] == ["Default"]
    assert first["variants"][0]["sku"] != second["variants"][0]["sku"]


async def test_only_creators_add_products(client: httpx.AsyncClient, database: Database) -> None:
    assert code_of(await client.post("/products", json=MUG)) == (401, "auth_required")
    refused = await client.post("/products", json=MUG, headers=await make_user(database))
    assert code_of(refused) == (403, "creator_required")
    assert await database.fetchval("SELECT count(*) FROM products") == 0


WRONG: list[dict[str, Any]] = [
    {"title": ""},
    {"title": " \n"},
    {"title": "a\0b"},
    {"title": "x" * 201},
    {"title": None},
    {"description": "x" * 10_001},
    {"description": "\0"},
    {"price_minor": -1},
    {"price_minor": 1.5},
    {"price_minor": "1"},
    {"price_minor": 10**12 + 1},
    {"price_minor": 2**63},
    {"currency": "eur"},
    {"currency": "XXX"},
    {"currency": "EURO"},
    {"image_url": "javascript:alert(1)"},
    {"image_url": "https://example.org/\0"},
    {"tags": ["x" * 51]},
    {"tags": [" "]},
    {"tags": ["a\0"]},
    {"tags": [str(number) for number in range(21)]},
    {"attributes": {"a": None}},
    {"attributes": {"a": {"deep": 1}}},
    {"attributes": {"a": [1]}},
    {"attributes": {"a\0": 1}},
    {"attributes": {"": 1}},
    {"attributes": {"a": "\0"}},
    {"attributes": {"a": "x" * 1001}},
    {"attributes": {"a": 2**53}},
    {"attributes": {"a": 1e300}},
    {"attributes": {str(number): 1 for number in range(51)}},
    {"attributes": []},
    {"variants": [{"sku": "", "name": "S"}]},
    {"variants": [{"sku": "A"}]},
    {"variants": [{"sku": "A\0", "name": "S"}]},
    {"variants": [{"sku": "A", "name": "S", "price_minor": -1}]},
    {"variants": [{"sku": "A", "name": "S", "stock": 5}]},
    {"variants": [{"sku": str(number), "name": "S"} for number in range(101)]},
    {"creator_id": "01890000-0000-7000-8000-000000000000"},
    {"archived": True},
]


async def test_wrong_values_are_refused_and_nothing_is_written(
    client: httpx.AsyncClient, creator: Headers, database: Database
) -> None:
    for wrong in WRONG:
        answer = await client.post("/products", json=MUG | wrong, headers=creator)
        assert code_of(answer) == (422, "invalid_fields"), wrong
        (field,) = wrong
        assert answer.json()["errors"][0]["field"].startswith(field), answer.text
    assert await database.fetchval("SELECT count(*) FROM products") == 0


async def test_what_is_no_json_is_refused(client: httpx.AsyncClient, creator: Headers) -> None:
    headers = {**creator, "Content-Type": "application/json"}
    for body in [b"{", b"\xff", b'{"title": "\\ud800"}']:
        answer = await client.post("/products", content=body, headers=headers)
        assert code_of(answer) == (400, "malformed_body"), body
    for body in [b"", b"null", b"[" * 5_000, b'{"title": ' * 5_000]:
        answer = await client.post("/products", content=body, headers=headers)
        assert code_of(answer) == (422, "invalid_fields"), body[:30]


async def test_extreme_values_come_back_as_they_went_in(client: httpx.AsyncClient, creator: Headers) -> None:
    said = {
        "title": "İ" * 200,
        "description": "ﷺ" * 3_000,
        "price_minor": 10**12,
        "tags": ["İ" * 50],
        "attributes": {"least": -(2**53) + 1, "tiny": 1e-300, "whole": 2.0, "none": "", "zero": 0},
        "variants": [{"sku": "Ω" * 100, "name": "x" * 200, "price_minor": 0}],
    }
    product = await made(client, creator, **said)
    assert {name: product[name] for name in ("title", "description", "price_minor", "attributes")} == {
        name: said[name] for name in ("title", "description", "price_minor", "attributes")
    }
    assert product["variants"][0]["price_minor"] == 0


async def test_a_sku_names_one_variant_of_a_creator(
    client: httpx.AsyncClient, creator: Headers, database: Database
) -> None:
    twice = await client.post(
        "/products", json=MUG | {"variants": [*SIZES, {"sku": "tee-s", "name": "small"}]}, headers=creator
    )
    assert code_of(twice) == (409, "sku_taken")
    assert [error["field"] for error in twice.json()["errors"]] == ["variants.2.sku"]

    await made(client, creator, variants=SIZES)
    again = await client.post(
        "/products", json=MUG | {"variants": [{"sku": "NEW", "name": "New"}, *SIZES[::-1]]}, headers=creator
    )
    assert code_of(again) == (409, "sku_taken")
    assert [error["field"] for error in again.json()["errors"]] == ["variants.1.sku", "variants.2.sku"]

    await made(client, await make_creator(database), variants=SIZES)  # another creator's SKUs are their own


async def test_a_key_makes_a_retry_safe(client: httpx.AsyncClient, creator: Headers, database: Database) -> None:
    keyed = {**creator, "Idempotency-Key": "first-mug"}
    answers = await asyncio.gather(*(client.post("/products", json=MUG, headers=keyed) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await database.fetchval("SELECT count(*) FROM products") == 1
    other = await client.post("/products", json=MUG | {"title": "Cup"}, headers=keyed)
    assert code_of(other) == (422, "idempotency_key_reused")


async def test_two_products_that_race_for_a_sku(
    client: httpx.AsyncClient, creator: Headers, database: Database
) -> None:
    answers = await asyncio.gather(
        *(client.post("/products", json=MUG | {"variants": SIZES}, headers=creator) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert await database.fetchval("SELECT count(*) FROM products") == 1
    assert await facts_of(database, creator) == ["product.created"]


async def test_the_schema_itself_refuses_a_sku_that_is_taken(
    client: httpx.AsyncClient, creator: Headers, database: Database
) -> None:
    product = await made(client, creator, variants=[{"sku": "A", "name": "A"}])
    again = "INSERT INTO variants (id, product_id, creator_id, sku, name, position) VALUES ($1, $2, $3, 'a', 'A', 1)"
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.fetch(again, new_id(), product["id"], user_of(creator))
