"""Changing and archiving products, and what a drop is offered of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from catalogue_client import catalogue_client, code_of, facts_of, made, make_creator, user_of

from livedrop.catalogue import product_for_drop
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.kit.refusals import NotFound

Headers = dict[str, str]
SIZES = [{"sku": "TEE-S", "name": "S"}, {"sku": "TEE-XL", "name": "XL", "price_minor": 1500}]


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with catalogue_client(database) as client:
        yield client


@pytest.fixture
async def creator(database: Database) -> Headers:
    return await make_creator(database)


async def test_a_change_leaves_the_rest_as_it_is(client: httpx.AsyncClient, creator: Headers) -> None:
    before = await made(client, creator, description="Red.", tags=["red"], attributes={"a": 1}, variants=SIZES)
    path = f"/products/{before['id']}"
    after = await client.patch(path, json={"title": " Cup ", "price_minor": 900}, headers=creator)
    assert after.json() == before | {"title": "Cup", "price_minor": 900}
    cleared = await client.patch(
        path, json={"description": None, "image_url": None, "tags": [], "attributes": {}}, headers=creator
    )
    assert cleared.json() == after.json() | {"description": None, "tags": [], "attributes": {}}
    assert (await client.get(path)).json() == cleared.json()


async def test_a_new_set_of_variants_keeps_swaps_adds_and_retires(
    client: httpx.AsyncClient, creator: Headers, database: Database
) -> None:
    before = await made(client, creator, variants=[*SIZES, {"sku": "TEE-M", "name": "M"}])
    small, large, medium = before["variants"]
    path = f"/products/{before['id']}"
    wanted = [
        {"sku": "TEE-XXL", "name": "XXL", "price_minor": 1700},
        {**large, "sku": small["sku"]},
        {**small, "sku": large["sku"], "price_minor": 0},
    ]
    after = (await client.patch(path, json={"variants": wanted}, headers=creator)).json()
    assert after["variants"][0].pop("id") not in {small["id"], large["id"], medium["id"]}
    assert after["variants"] == wanted
    retired = await database.fetch("SELECT id FROM variants WHERE retired")
    assert [str(row["id"]) for row in retired] == [medium["id"]]

    # A retired variant's SKU is free again; itself it does not come back.
    await made(client, creator, variants=[{"sku": "TEE-M", "name": "M"}])
    back = await client.patch(path, json={"variants": [medium]}, headers=creator)
    assert code_of(back) == (422, "invalid_fields")


WRONG_CHANGES: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({"variants": []}, (422, "invalid_fields")),
    ({"variants": [{"id": str(new_id()), "sku": "A", "name": "A"}]}, (422, "invalid_fields")),
    ({"variants": [{"sku": "A", "name": "A"}, {"sku": "a", "name": "B"}]}, (409, "sku_taken")),
    ({"variants": [{"sku": "OTHERS", "name": "A"}]}, (409, "sku_taken")),
    ({"title": None}, (422, "invalid_fields")),
    ({"tags": None}, (422, "invalid_fields")),
    ({"price_minor": -1}, (422, "invalid_fields")),
    ({"currency": "ABC"}, (422, "invalid_fields")),
    ({"archived": False}, (422, "invalid_fields")),
    ({"id": str(new_id())}, (422, "invalid_fields")),
]


async def test_a_wrong_change_changes_nothing(client: httpx.AsyncClient, creator: Headers) -> None:
    await made(client, creator, variants=[{"sku": "others", "name": "Others"}])
    product = await made(client, creator)
    path = f"/products/{product['id']}"
    for change, code in WRONG_CHANGES:
        answer = await client.patch(path, json={"price_minor": 5, **change}, headers=creator)
        assert code_of(answer) == code, change
    assert (await client.get(path)).json() == product


async def test_others_change_nothing(client: httpx.AsyncClient, creator: Headers, database: Database) -> None:
    product = await made(client, creator)
    path, stranger = f"/products/{product['id']}", await make_creator(database)
    assert code_of(await client.patch(path, json={"title": "Mine"}, headers=stranger)) == (403, "forbidden")
    assert code_of(await client.delete(path, headers=stranger)) == (403, "forbidden")
    assert code_of(await client.patch(path, json={"title": "Mine"})) == (401, "auth_required")
    assert code_of(await client.delete(path)) == (401, "auth_required")
    assert (await client.get(path)).json() == product


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient, creator: Headers) -> None:
    for name in [new_id(), "mug", "0", "%00"]:
        path = f"/products/{name}"
        assert code_of(await client.get(path)) == (404, "not_found")
        assert code_of(await client.patch(path, json={}, headers=creator)) == (404, "not_found")
        assert code_of(await client.delete(path, headers=creator)) == (404, "not_found")


async def test_an_archived_product_can_be_seen_but_not_changed(client: httpx.AsyncClient, creator: Headers) -> None:
    product = await made(client, creator, variants=SIZES)
    path = f"/products/{product['id']}"
    archived = await client.delete(path, headers=creator)
    assert (archived.status_code, archived.json()) == (200, product | {"archived": True})
    assert (await client.delete(path, headers=creator)).json() == archived.json()
    assert (await client.get(path)).json() == archived.json()
    assert code_of(await client.patch(path, json={"title": "Cup"}, headers=creator)) == (409, "product_archived")

    assert (await client.get("/products")).json()["items"] == []
    mine = await client.get("/products?archived=true", headers=creator)
    assert mine.json()["items"] == [archived.json()]
    await made(client, creator, variants=SIZES)  # its SKUs are free again


async def test_archived_products_are_listed_for_their_creator_only(
    client: httpx.AsyncClient, creator: Headers, database: Database
) -> None:
    product = await made(client, creator)
    await client.delete(f"/products/{product['id']}", headers=creator)
    stranger = await make_creator(database)
    assert (await client.get("/products?archived=true", headers=stranger)).json()["items"] == []
    others = await client.get(f"/products?archived=true&creator_id={user_of(creator)}", headers=stranger)
    assert code_of(others) == (403, "forbidden")
    assert code_of(await client.get("/products?archived=true")) == (401, "auth_required")


async def test_facts_tell_what_changed_and_only_that(
    client: httpx.AsyncClient, creator: Headers, database: Database
) -> None:
    product = await made(client, creator)
    path = f"/products/{product['id']}"
    assert (await client.patch(path, json={}, headers=creator)).json() == product
    assert (await client.patch(path, json={"title": "Mug"}, headers=creator)).json() == product
    await client.patch(path, json={"title": "Cup"}, headers=creator)
    await client.patch(path, json={"currency": "ABC"}, headers=creator)
    await client.delete(path, headers=creator)
    await client.delete(path, headers=creator)
    assert await facts_of(database, creator) == ["product.created", "product.updated", "product.archived"]


async def test_a_drop_is_offered_the_live_variants_at_their_prices(
    client: httpx.AsyncClient, creator: Headers, database: Database
) -> None:
    product = await made(client, creator, variants=[*SIZES, {"sku": "FREE", "name": "Free", "price_minor": 0}])
    kept = product["variants"][1:]
    path = f"/products/{product['id']}"
    await client.patch(path, json={"variants": [*kept, {"sku": "NEW", "name": "New"}]}, headers=creator)
    async with database.transaction() as tx:
        offered = await product_for_drop(tx, product["id"], for_share=True)
        with pytest.raises(NotFound):
            await product_for_drop(tx, new_id())
    assert [(variant.sku, variant.price_minor) for variant in offered.variants] == [
        ("TEE-XL", 1500),
        ("FREE", 0),
        ("NEW", 1200),
    ]
    assert (str(offered.creator_id), offered.currency, offered.archived) == (product["creator_id"], "EUR", False)
    assert offered.shown.title == "Mug"
