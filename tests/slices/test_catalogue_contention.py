"""Changes of one catalogue at the same time: one after the other, and never an error of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from catalogue_client import catalogue_client, code_of, facts_of, made, make_creator

from livedrop.catalogue import product_for_drop
from livedrop.kit.database import Database


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with catalogue_client(database) as client:
        yield client


async def test_changes_of_one_product_all_happen(client: httpx.AsyncClient, database: Database) -> None:
    creator = await make_creator(database)
    product = await made(client, creator)
    path = f"/products/{product['id']}"
    changes: list[dict[str, object]] = [{"title": f"Mug {number}"} for number in range(10)]
    changes += [{"variants": [{"sku": f"S{number}", "name": "S"}]} for number in range(10)]
    answers = await asyncio.gather(*(client.patch(path, json=change, headers=creator) for change in changes))
    assert {answer.status_code for answer in answers} == {200}
    after = (await client.get(path)).json()
    assert after in [answer.json() for answer in answers]
    live = await database.fetchval("SELECT count(*) FROM variants WHERE NOT retired")
    assert live == len(after["variants"]) == 1
    assert await facts_of(database, creator) == ["product.created"] + ["product.updated"] * 20


async def test_a_price_stays_while_a_drop_copies_it(client: httpx.AsyncClient, database: Database) -> None:
    creator = await make_creator(database)
    product = await made(client, creator)
    path = f"/products/{product['id']}"
    async with database.transaction() as tx:
        await product_for_drop(tx, product["id"], for_share=True)
        # The change waits for the drop, until its patience (`lock_timeout`) ends.
        refused = await client.patch(path, json={"price_minor": 1}, headers=creator)
        assert code_of(refused) == (503, "busy")
        assert refused.headers["retry-after"] == "1"
        assert (await product_for_drop(tx, product["id"])).variants[0].price_minor == product["price_minor"]
    assert (await client.patch(path, json={"price_minor": 1}, headers=creator)).json()["price_minor"] == 1
