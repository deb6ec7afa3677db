"""The drop page and its stock over HTTP: shape, ETag, the server's time, and who may see what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from catalogue_client import code_of, made, make_creator, make_user
from drops_client import Drops, in_seconds, open_drops

from livedrop.kit.database import Database
from livedrop.kit.ids import new_id


@pytest.fixture
async def drops(database: Database) -> AsyncIterator[Drops]:
    async with open_drops(database) as opened:
        yield opened


async def test_the_stock_is_summed_up(drops: Drops) -> None:
    product = await made(drops.client, drops.creator, variants=[{"sku": "S", "name": "S"}, {"sku": "L", "name": "L"}])
    small, large = (variant["id"] for variant in product["variants"])
    drop = await drops.made(product_id=product["id"], stock={small: 5, large: 4})
    await drops.buy(drop, 2)
    await drops.reserve(drop, 1)
    page = (await drops.page(drop)).json()
    stock = (await drops.client.get(f"/drops/{drop['id']}/stock")).json()
    assert stock == {
        "available": 6,
        "reserved": 1,
        "sold": 2,
        "total": 9,
        "lots": page["lots"],
        "version": page["version"],
    }
    assert [(lot["sku"], lot["available"]) for lot in stock["lots"]] == [("S", 2), ("L", 4)]
    assert page["available"] == 6


@pytest.mark.parametrize("what", ["", "/stock"])
async def test_what_the_client_has_is_not_sent_again(drops: Drops, what: str) -> None:
    drop = await drops.made(starts_at=in_seconds(60))
    path = f"/drops/{drop['id']}{what}"
    first = await drops.client.get(path)
    assert first.status_code == 200
    assert first.headers["etag"] == '"1-scheduled"'
    assert first.headers["cache-control"] == "no-cache"
    for known in ('"1-scheduled"', 'W/"1-scheduled"', '"0-draft", "1-scheduled"', "*"):
        again = await drops.client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert "x-server-time" in again.headers
    await drops.patch(drop, stock=11)
    changed = await drops.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] == '"2-scheduled"'
    assert changed.json()["available"] == 11


async def test_the_server_says_its_time(drops: Drops) -> None:
    drop = await drops.made()
    before = await drops.database.fetchval("SELECT clock_timestamp()")
    said = (await drops.page(drop)).headers["x-server-time"]
    after = await drops.database.fetchval("SELECT clock_timestamp()")
    assert len(said) == len("2026-01-31T09:00:00.000Z")
    # The reading in between is known as exactly as its own round trip was short.
    assert before - (after - before) <= datetime.fromisoformat(said) + timedelta(milliseconds=1)
    assert datetime.fromisoformat(said) <= after + (after - before)


@pytest.mark.parametrize("what", ["", "/stock"])
async def test_a_draft_is_its_creators_alone(drops: Drops, what: str) -> None:
    draft = await drops.made(draft=True)
    path, nowhere = f"/drops/{draft['id']}{what}", f"/drops/{new_id()}{what}"
    own = await drops.client.get(path, headers=drops.creator)
    assert own.status_code == 200
    assert own.headers["cache-control"] == "private, no-cache"
    assert own.headers["etag"] == '"1-draft"'
    for stranger in ({}, await make_user(drops.database), await make_creator(drops.database)):
        refused = await drops.client.get(path, headers=stranger)
        unknown = await drops.client.get(nowhere, headers=stranger)
        assert code_of(refused) == code_of(unknown) == (404, "not_found")
        assert refused.json()["title"] == unknown.json()["title"]
    # A bad token tells the two no more apart.
    for hidden in (path, nowhere):
        refused = await drops.client.get(hidden, headers={"Authorization": "Bearer nonsense"})
        assert code_of(refused) == (401, "auth_required")
    assert len(drops.pages) == 0


async def test_a_cancelled_draft_stays_hidden(drops: Drops) -> None:
    draft = await drops.made(draft=True)
    await drops.cancel(draft)
    assert code_of(await drops.page(draft)) == (404, "not_found")
    assert (await drops.page(draft, drops.creator)).json()["phase"] == "cancelled"


async def test_a_public_page_asks_nobody_who_they_are(drops: Drops) -> None:
    drop = await drops.made()
    for _ in range(2):  # out of the database, and at hand
        assert (await drops.page(drop, {"Authorization": "Bearer run out"})).json() == drop


async def test_an_id_in_capitals_is_the_same(drops: Drops) -> None:
    drop = await drops.made()
    assert (await drops.client.get(f"/drops/{drop['id'].upper()}")).json() == drop


@pytest.mark.parametrize("drop_id", ["01890000-0000-7000-8000-000000000000", "x" * 36, "%00" * 36, "0" * 35 + "g"])
async def test_what_is_no_drop(drops: Drops, drop_id: str) -> None:
    assert code_of(await drops.client.get(f"/drops/{drop_id}")) == (404, "not_found")
    assert code_of(await drops.client.get(f"/drops/{drop_id}/stock")) == (404, "not_found")
    assert len(drops.pages) == 0
