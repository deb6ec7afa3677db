"""Scheduling drops: what a creator may say, what is copied, and every refusal, after which there is no drop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
from catalogue_client import code_of, made, make_creator, make_user
from drops_client import HOLD_SECONDS, Drops, in_seconds, open_drops

from livedrop.events import DropScheduled
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id

TWO_SIZES = [{"sku": "S", "name": "Small"}, {"sku": "L", "name": "Large", "price_minor": 1500}]

ANOTHER_ID = "0198c0de-0000-7000-8000-000000000000"  # the same in each of pytest's processes


@pytest.fixture
async def drops(database: Database) -> AsyncIterator[Drops]:
    async with open_drops(database) as opened:
        yield opened


async def test_a_drop_says_all_there_is(drops: Drops) -> None:
    starts_at, ends_at = in_seconds(3600), in_seconds(7200)
    answer = await drops.post(
        title="  Mugs at nine ",
        starts_at=starts_at,
        ends_at=ends_at,
        stock=7,
        per_customer_limit=2,
        low_stock_threshold=3,
        hold_seconds=90,
    )
    assert answer.status_code == 201
    drop = answer.json()
    (variant,) = drops.product["variants"]
    assert drop == {
        "id": drop["id"],
        "creator": {
            "id": str(drops.creator_id),
            "handle": drop["creator"]["handle"],
            "display_name": "Somebody",
            "avatar_url": None,
        },
        "product": drops.product,
        "title": "Mugs at nine",
        "phase": "scheduled",
        "starts_at": starts_at,
        "ends_at": ends_at,
        "per_customer_limit": 2,
        "low_stock_threshold": 3,
        "hold_seconds": 90,
        "lots": [
            {
                "variant_id": variant["id"],
                "sku": variant["sku"],
                "name": "Default",
                "price_minor": 1200,
                "currency": "EUR",
                "total": 7,
                "available": 7,
                "reserved": 0,
                "sold": 0,
            }
        ],
        "available": 7,
        "version": 1,
    }
    assert (await drops.page(drop)).json() == drop


async def test_what_is_left_out_has_a_default(drops: Drops) -> None:
    drop = await drops.made(stock=25)
    assert drop["title"] == "Mug"
    assert drop["ends_at"] is None
    assert drop["per_customer_limit"] is None
    assert drop["low_stock_threshold"] == 3
    assert drop["hold_seconds"] == HOLD_SECONDS
    assert (await drops.made(stock=2**31 - 1))["low_stock_threshold"] == 100


async def test_a_start_in_the_past_is_live_at_once(drops: Drops) -> None:
    assert (await drops.made(starts_at="2020-01-01T00:00:00Z"))["phase"] == "live"


async def test_a_moment_is_cut_to_what_is_said(drops: Drops) -> None:
    drop = await drops.made(starts_at="2020-01-01T01:00:00.123999+01:00")
    assert drop["starts_at"] == "2020-01-01T00:00:00.123Z"
    stored = await drops.database.fetchval("SELECT starts_at FROM drop_heads")
    assert stored.microsecond == 123_000


async def test_stock_by_variant(drops: Drops) -> None:
    product = await made(drops.client, drops.creator, variants=TWO_SIZES)
    small, large = (variant["id"] for variant in product["variants"])
    drop = await drops.made(product_id=product["id"], stock={large: 3, small: 5})
    lots = [(lot["sku"], lot["price_minor"], lot["total"]) for lot in drop["lots"]]
    assert lots == [("S", 1200, 5), ("L", 1500, 3)]
    assert drop["available"] == 8
    only_large = await drops.made(product_id=product["id"], stock={large: 3})
    assert [lot["sku"] for lot in only_large["lots"]] == ["L"]


async def test_the_drop_keeps_what_its_product_was(drops: Drops) -> None:
    drop = await drops.made(draft=True)
    change = {"title": "Cup", "price_minor": 9, "tags": ["new"]}
    await drops.client.patch(f"/products/{drops.product['id']}", json=change, headers=drops.creator)
    await drops.client.delete(f"/products/{drops.product['id']}", headers=drops.creator)
    published = await drops.client.post(f"/drops/{drop['id']}/publish", headers=drops.creator)
    assert published.json() == drop | {"phase": "live", "version": 2}
    assert (await drops.page(drop)).json()["product"] == drops.product
    assert await drops.titles("q=mug") == ["Mug"]
    assert await drops.titles("q=cup") == []


async def test_a_published_drop_is_told_and_a_draft_is_not(drops: Drops) -> None:
    await drops.made(draft=True)
    drop = await drops.made(title="Now")
    (row,) = await drops.database.fetch("SELECT drop_id, seq_first, seq_last, payload FROM facts")
    assert (row["drop_id"], row["seq_first"], row["seq_last"]) == (UUID(drop["id"]), 1, 1)
    (fact,) = msgspec.json.decode(row["payload"], type=list[DropScheduled])
    assert (fact.title, fact.starts_at, fact.ends_at, fact.seq) == ("Now", drop["starts_at"], None, 1)


async def test_a_retry_makes_one_drop(drops: Drops) -> None:
    (variant,) = drops.product["variants"]
    body = {"product_id": drops.product["id"], "starts_at": in_seconds(60), "stock": {variant["id"]: 4}}
    headers = drops.creator | {"Idempotency-Key": "one"}
    first = await drops.client.post("/drops", json=body, headers=headers)
    second = await drops.client.post("/drops", json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.content == first.content
    assert second.headers["Idempotent-Replayed"] == "true"
    other = await drops.client.post("/drops", json=body | {"stock": 4}, headers=headers)
    assert code_of(other) == (422, "idempotency_key_reused")
    assert await drops.database.fetchval("SELECT count(*) FROM drops") == 1


@pytest.mark.parametrize(
    ("details", "code"),
    [
        ({"stock": 0}, "invalid_fields"),
        ({"stock": -1}, "invalid_fields"),
        ({"stock": 2**31}, "invalid_fields"),
        ({"stock": 1.5}, "invalid_fields"),
        ({"stock": "1"}, "invalid_fields"),
        ({"stock": True}, "invalid_fields"),
        ({"stock": None}, "invalid_fields"),
        ({"stock": {}}, "invalid_fields"),
        ({"stock": {"default": 1}}, "invalid_fields"),
        ({"stock": {ANOTHER_ID: 1}}, "unknown_variant"),
        ({"starts_at": "2020-01-02T00:00:00Z", "ends_at": "2020-01-01T00:00:00Z"}, "wrong_times"),
        ({"starts_at": "2020-01-02T00:00:00Z", "ends_at": "2020-01-02T00:00:00Z"}, "wrong_times"),
        ({"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-01-02T00:00:00Z"}, "wrong_times"),
        ({"starts_at": "1999-12-31T23:59:59Z"}, "invalid_fields"),
        ({"starts_at": "0001-01-01T00:00:00+14:00"}, "invalid_fields"),
        ({"starts_at": "9999-12-31T23:59:59-12:00"}, "invalid_fields"),
        ({"starts_at": "2020-01-01T00:00:00"}, "invalid_fields"),
        ({"starts_at": "tomorrow"}, "invalid_fields"),
        ({"starts_at": 1_577_836_800}, "invalid_fields"),
        ({"ends_at": "9999-12-31T23:59:59-12:00"}, "invalid_fields"),
        ({"hold_seconds": 0}, "invalid_fields"),
        ({"hold_seconds": 31_536_000}, "invalid_fields"),
        ({"per_customer_limit": 0}, "invalid_fields"),
        ({"per_customer_limit": 2**31}, "invalid_fields"),
        ({"low_stock_threshold": -1}, "invalid_fields"),
        ({"low_stock_threshold": 2**31}, "invalid_fields"),
        ({"title": ""}, "invalid_fields"),
        ({"title": " \n"}, "invalid_fields"),
        ({"title": "a\0b"}, "invalid_fields"),
        ({"title": "x" * 201}, "invalid_fields"),
        ({"product_id": "mug"}, "invalid_fields"),
        ({"creator_id": ANOTHER_ID}, "invalid_fields"),
        ({"price_minor": 1}, "invalid_fields"),
        ({"phase": "live"}, "invalid_fields"),
    ],
    ids=str,
)
async def test_a_drop_that_can_not_be(drops: Drops, details: dict[str, Any], code: str) -> None:
    assert code_of(await drops.post(**details)) == (422, code)
    assert await nothing_was_written(drops)


async def test_one_number_is_not_enough_for_several_variants(drops: Drops) -> None:
    product = await made(drops.client, drops.creator, variants=TWO_SIZES)
    assert code_of(await drops.post(product_id=product["id"])) == (422, "variant_required")
    another = drops.product["variants"][0]["id"]
    assert code_of(await drops.post(product_id=product["id"], stock={another: 1})) == (422, "unknown_variant")
    assert await nothing_was_written(drops)


async def test_whose_product_it_is(drops: Drops) -> None:
    assert code_of(await drops.post(product_id=str(new_id()))) == (404, "not_found")
    owner, drops.creator = drops.creator, await make_creator(drops.database)
    assert code_of(await drops.post()) == (403, "forbidden")
    drops.creator = await make_user(drops.database)
    assert code_of(await drops.post()) == (403, "creator_required")
    drops.creator = {}
    assert code_of(await drops.post()) == (401, "auth_required")
    drops.creator = owner
    await drops.client.delete(f"/products/{drops.product['id']}", headers=owner)
    assert code_of(await drops.post()) == (409, "product_archived")
    assert await nothing_was_written(drops)


async def nothing_was_written(drops: Drops) -> bool:
    tables = ("drops", "drop_heads", "lots", "facts")
    counts = [await drops.database.fetchval(f"SELECT count(*) FROM {table}") for table in tables]
    return counts == [0, 0, 0, 0]
