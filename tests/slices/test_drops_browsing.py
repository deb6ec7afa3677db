"""Browsing drops: by phase, by creator, by words, and in pages that hold while drops come, go and sell."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asyncpg.connection import LoggedQuery
from catalogue_client import code_of, made, make_creator
from drops_client import Drops, in_seconds, open_drops

from livedrop.drops.browse import browse, filters_of
from livedrop.kit.database import Database
from livedrop.web.pages import Cursors


@pytest.fixture
async def drops(database: Database) -> AsyncIterator[Drops]:
    async with open_drops(database) as opened:
        yield opened


async def one_of_each(drops: Drops) -> None:
    """A drop in each phase, named after it."""
    await drops.made(title="draft", draft=True)
    await drops.made(title="scheduled", starts_at=in_seconds(60))
    await drops.made(title="live", starts_at=in_seconds(-10))
    sold_out = await drops.made(title="sold_out", starts_at=in_seconds(-20), stock=1)
    await drops.reserve(sold_out)
    ended = await drops.made(title="ended", starts_at=in_seconds(-30), ends_at=in_seconds(60))
    await drops.database.fetch("UPDATE drop_heads SET ends_at = clock_timestamp() WHERE title = 'ended'")
    assert ended["phase"] == "live"
    await drops.cancel(await drops.made(title="cancelled", starts_at=in_seconds(-40)))
    await drops.cancel(await drops.made(title="cancelled draft", starts_at=in_seconds(-50), draft=True))


async def test_each_phase_has_its_list(drops: Drops) -> None:
    await one_of_each(drops)
    for phase in ("scheduled", "live", "sold_out", "ended", "cancelled"):
        (drop,) = (await drops.client.get(f"/drops?status={phase}")).json()["items"]
        assert drop["phase"] == drop["title"] == phase
        assert (await drops.page(drop)).json() == drop
    assert await drops.titles("status=upcoming") == ["scheduled"]
    assert await drops.titles() == ["scheduled", "live", "sold_out", "ended", "cancelled"]
    live = await drops.client.get("/drops/live")
    assert live.json() == (await drops.client.get("/drops?status=live")).json()
    assert [drop["title"] for drop in live.json()["items"]] == ["live"]


async def test_drafts_are_for_their_creator(drops: Drops) -> None:
    await one_of_each(drops)
    stranger = await make_creator(drops.database)
    (draft,) = (await drops.client.get("/drops?status=draft", headers=drops.creator)).json()["items"]
    assert draft["phase"] == draft["title"] == "draft"
    assert await drops.titles("status=cancelled", drops.creator) == ["cancelled", "cancelled draft"]
    assert await drops.titles("status=draft", stranger) == []
    assert await drops.titles(f"status=draft&creator_id={drops.creator_id}", stranger) == []
    assert await drops.titles("status=cancelled", stranger) == ["cancelled"]
    assert await drops.titles("", drops.creator) == await drops.titles("", stranger)
    assert code_of(await drops.client.get("/drops?status=draft")) == (401, "auth_required")


async def test_what_is_to_come_is_soonest_first_all_else_latest_first(drops: Drops) -> None:
    for title, seconds in [("b", 200), ("c", 300), ("a", 100)]:
        await drops.made(title=title, starts_at=in_seconds(seconds))
        await drops.made(title=title.upper(), starts_at=in_seconds(-seconds))
    assert await drops.titles("status=scheduled") == ["a", "b", "c"]
    assert await drops.titles("status=live") == ["A", "B", "C"]
    assert await drops.titles() == ["c", "b", "a", "A", "B", "C"]


async def test_filters_narrow_together(drops: Drops) -> None:
    owner = drops.creator_id
    await drops.made(title="Friday")
    await drops.made(title="Saturday", starts_at=in_seconds(60))
    drops.creator = await make_creator(drops.database)
    drops.product = await made(drops.client, drops.creator, title="Café", tags=["Kitchen"], description="friday")
    await drops.made(title="Sunday")
    assert await drops.titles(f"creator_id={owner}&status=live") == ["Friday"]
    assert await drops.titles(f"creator_id={drops.creator_id}") == ["Sunday"]
    assert sorted(await drops.titles("q=FRIDAY")) == ["Friday", "Sunday"]
    assert await drops.titles("q=cafe%20kit") == ["Sunday"]
    assert await drops.titles("q=mug%20day") == ["Saturday", "Friday"]
    assert await drops.titles("q=mug%20kitchen") == []
    assert await drops.titles("q=%25") == []
    live = await drops.client.get(f"/drops/live?creator_id={owner}&q=mug")
    assert [drop["title"] for drop in live.json()["items"]] == ["Friday"]


async def everything(drops: Drops, query: str, limit: int, meanwhile: Any) -> list[str]:
    """The titles of all pages; `meanwhile` is awaited between two of them."""
    titles: list[str] = []
    after = ""
    while True:
        answer = await drops.client.get(f"/drops?limit={limit}&{query}{after}")
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["items"]) <= limit
        titles += [drop["title"] for drop in page["items"]]
        if page["next"] is None:
            return titles
        assert len(page["items"]) == limit
        after = f"&after={page['next']}"
        await meanwhile()


@pytest.mark.parametrize(("query", "sign"), [("status=scheduled", 1), ("status=live", -1), ("", -1)])
async def test_pages_hold_while_drops_come_go_and_sell(drops: Drops, query: str, sign: int) -> None:
    luck = random.Random(7)
    starts = [in_seconds(sign * 1000 * number) for number in range(1, 4)]
    made_drops = [await drops.made(title=str(number), starts_at=luck.choice(starts)) for number in range(16)]
    for drop in made_drops[12:]:
        await drops.cancel(drop)

    async def churn() -> None:
        new = await drops.made(title="new", starts_at=luck.choice(starts))
        await drops.made(title="new draft", starts_at=luck.choice(starts), draft=True)
        await drops.patch(luck.choice(made_drops[:12]), stock=luck.randint(11, 99))
        if luck.random() < 0.5:
            await drops.cancel(new)

    for limit in (1, 3, 5, 16):
        titles = await everything(drops, query, limit, churn)
        stayed = [title for title in titles if title in {str(number) for number in range(12)}]
        assert sorted(stayed, key=int) == [str(number) for number in range(12)]
        by_title = {drop["title"]: drop for drop in made_drops}
        keys = [(by_title[title]["starts_at"], by_title[title]["id"]) for title in stayed]
        assert keys == sorted(keys, reverse=sign < 0)
    assert "new draft" not in titles


async def test_page_numbers_work_too(drops: Drops) -> None:
    for number in range(5):
        await drops.made(title=str(number), starts_at=in_seconds(-10 * number))
    assert await drops.titles("limit=2&page=1") == ["0", "1"]
    assert await drops.titles("limit=2&page=3") == ["4"]
    assert await drops.titles("limit=2&page=4") == []


async def test_a_cursor_is_of_one_list(drops: Drops) -> None:
    for number in range(3):
        await drops.made(starts_at=in_seconds(-number))
    cursor = (await drops.client.get("/drops?status=live&limit=1")).json()["next"]
    assert (await drops.client.get(f"/drops?status=live&limit=2&after={cursor}")).json()["next"] is None
    assert (await drops.client.get(f"/drops/live?limit=2&after={cursor}")).status_code == 200
    for query in (f"after={cursor}", f"status=live&q=mug&after={cursor}", f"status=live&after={cursor[:-1]}"):
        assert code_of(await drops.client.get(f"/drops?{query}")) == (400, "bad_cursor")


@pytest.mark.parametrize(
    "query",
    [
        "status=gone",
        "limit=0",
        "limit=101",
        "limit=x",
        "page=0",
        "page=501",
        "creator_id=me",
        "q=%00",
        "q=" + "x" * 201,
    ],
)
async def test_what_is_no_list(drops: Drops, query: str) -> None:
    assert code_of(await drops.client.get(f"/drops?{query}")) == (422, "invalid_fields")


async def test_a_page_takes_two_statements(drops: Drops) -> None:
    for _ in range(3):
        await drops.made()
    statements: list[str] = []

    def note(query: LoggedQuery) -> None:
        statements.append(query.query)

    filters = filters_of(None, None, None, None)
    async with drops.database.connection() as connection:
        # For its first page, the driver asks for the types too.
        await browse(connection, Cursors(b"secret"), filters, after=None, offset=0, limit=20)
        await connection.fetchval("SELECT 1")  # a statement is noted when the next one has begun
        connection.add_query_logger(note)
        page = await browse(connection, Cursors(b"secret"), filters, after=None, offset=0, limit=20)
        await connection.fetchval("SELECT 2")
        connection.remove_query_logger(note)
    assert len(page.items) == 3
    assert len([statement for statement in statements if statement != "SELECT 2"]) == 2
