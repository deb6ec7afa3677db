"""Changing drops: drafts and publishing, everything before the start, little afterwards, and by nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from catalogue_client import code_of, made, make_creator, make_user
from drops_client import Drops, in_seconds, open_drops

from livedrop.kit.database import Database
from livedrop.kit.ids import new_id


@pytest.fixture
async def drops(database: Database) -> AsyncIterator[Drops]:
    async with open_drops(database) as opened:
        yield opened


async def publish(drops: Drops, drop: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
    return await drops.client.post(f"/drops/{drop['id']}/publish", headers=headers or drops.creator)


async def test_a_draft_goes_public(drops: Drops) -> None:
    draft = await drops.made(draft=True, starts_at=in_seconds(60))
    assert draft["phase"] == "draft"
    answer = await publish(drops, draft)
    assert answer.status_code == 200
    assert answer.json() == draft | {"phase": "scheduled", "version": 2}
    assert (await drops.page(draft)).json() == answer.json()
    again = await publish(drops, draft)
    assert again.json() == answer.json()


async def test_a_draft_whose_start_has_passed_is_live_at_once(drops: Drops) -> None:
    draft = await drops.made(draft=True)
    assert (await publish(drops, draft)).json()["phase"] == "live"


async def test_a_draft_whose_end_has_passed_needs_a_later_one(drops: Drops, database: Database) -> None:
    draft = await drops.made(draft=True, ends_at=in_seconds(60))
    await database.fetch("UPDATE drop_heads SET ends_at = clock_timestamp()")
    assert code_of(await publish(drops, draft)) == (409, "drop_ended")
    assert (await drops.patch(draft, ends_at=None)).json()["phase"] == "draft"
    assert (await publish(drops, draft)).json()["phase"] == "live"


async def test_before_the_start_everything_can_change(drops: Drops) -> None:
    drop = await drops.made(starts_at=in_seconds(60), per_customer_limit=1)
    changes = {
        "title": " Cups ",
        "starts_at": in_seconds(120),
        "ends_at": in_seconds(180),
        "per_customer_limit": 4,
        "low_stock_threshold": 0,
        "hold_seconds": 5,
    }
    answer = await drops.patch(drop, **changes, stock=6)
    assert answer.status_code == 200
    lots = [drop["lots"][0] | {"total": 6, "available": 6}]
    changed = drop | changes | {"title": "Cups", "lots": lots, "available": 6, "version": 2}
    assert answer.json() == changed
    assert (await drops.page(drop)).json() == changed
    without = await drops.patch(drop, ends_at=None, per_customer_limit=None)
    assert without.json() == changed | {"ends_at": None, "per_customer_limit": None, "version": 3}


async def test_a_drop_is_found_by_its_new_title(drops: Drops) -> None:
    drop = await drops.made(starts_at=in_seconds(60), title="Red")
    await drops.patch(drop, title="Grün")
    assert await drops.titles("q=red") == []
    assert await drops.titles("q=GRUN%20mug") == ["Grün"]


async def test_a_start_can_be_moved_into_the_past(drops: Drops) -> None:
    drop = await drops.made(starts_at=in_seconds(60))
    assert (await drops.patch(drop, starts_at=in_seconds(-60))).json()["phase"] == "live"


async def test_stock_by_variant_changes_only_those(drops: Drops) -> None:
    product = await made(drops.client, drops.creator, variants=[{"sku": "S", "name": "S"}, {"sku": "L", "name": "L"}])
    small, large = (variant["id"] for variant in product["variants"])
    drop = await drops.made(product_id=product["id"], stock={small: 1, large: 2})
    answer = await drops.patch(drop, stock={large: 9})
    assert [lot["total"] for lot in answer.json()["lots"]] == [1, 9]
    assert code_of(await drops.patch(drop, stock=9)) == (422, "variant_required")
    assert code_of(await drops.patch(drop, stock={str(new_id()): 9})) == (422, "unknown_variant")


async def test_after_the_start_only_more_stock_and_a_later_end(drops: Drops) -> None:
    drop = await drops.made(ends_at=in_seconds(60))
    await drops.buy(drop, 3)
    later = in_seconds(120)
    answer = await drops.patch(drop, stock=11, ends_at=later)
    assert answer.status_code == 200
    assert answer.json()["ends_at"] == later
    assert answer.json()["lots"][0] | {"total": 11, "sold": 3, "available": 8} == answer.json()["lots"][0]
    refused: list[dict[str, Any]] = [
        {"stock": 10},
        {"ends_at": in_seconds(90)},
        {"title": "Cups"},
        {"starts_at": in_seconds(60)},
        {"per_customer_limit": 9},
        {"low_stock_threshold": 5},
        {"hold_seconds": 9},
        {"stock": 12, "title": "Cups"},
    ]
    for changes in refused:
        assert code_of(await drops.patch(drop, **changes)) == (409, "drop_started"), changes
    assert (await drops.page(drop)).json() == answer.json()


async def test_stock_can_not_go_below_what_is_taken(drops: Drops, database: Database) -> None:
    drop = await drops.made()
    await drops.buy(drop, 2)
    await drops.reserve(drop, 1)
    # Only before its start can stock be lowered at all: a drop that was put off after it had sold.
    await database.fetch("UPDATE drop_heads SET starts_at = clock_timestamp() + interval '1 hour'")
    assert code_of(await drops.patch(drop, stock=2)) == (409, "stock_taken")
    assert (await drops.patch(drop, stock=3)).json()["available"] == 0


async def test_a_cancelled_drop_stays_as_it_is(drops: Drops) -> None:
    drop = await drops.made()
    await drops.cancel(drop)
    assert code_of(await drops.patch(drop, stock=11)) == (409, "drop_cancelled")
    assert code_of(await publish(drops, drop)) == (409, "drop_cancelled")
    assert (await drops.patch(drop)).json()["phase"] == "cancelled"


async def test_a_change_that_says_nothing_changes_nothing(drops: Drops) -> None:
    drop = await drops.made()
    assert (await drops.patch(drop)).json() == drop
    assert await drops.database.fetchval("SELECT count(*) FROM facts") == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"stock": 0}, "invalid_fields"),
        ({"stock": -1}, "invalid_fields"),
        ({"stock": 2**31}, "invalid_fields"),
        ({"stock": {}}, "invalid_fields"),
        ({"stock": None}, "invalid_fields"),
        ({"hold_seconds": 0}, "invalid_fields"),
        ({"hold_seconds": 31_536_000}, "invalid_fields"),
        ({"hold_seconds": None}, "invalid_fields"),
        ({"per_customer_limit": 0}, "invalid_fields"),
        ({"low_stock_threshold": -1}, "invalid_fields"),
        ({"title": None}, "invalid_fields"),
        ({"title": ""}, "invalid_fields"),
        ({"title": "a\0b"}, "invalid_fields"),
        ({"starts_at": None}, "invalid_fields"),
        ({"starts_at": "1999-01-01T00:00:00Z"}, "invalid_fields"),
        ({"ends_at": "9999-12-31T23:59:59-12:00"}, "invalid_fields"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "wrong_times"),
        ({"starts_at": in_seconds(7200), "ends_at": in_seconds(3600)}, "wrong_times"),
        ({"product_id": str(new_id())}, "invalid_fields"),
        ({"draft": True}, "invalid_fields"),
        ({"phase": "live"}, "invalid_fields"),
        ({"available": 3}, "invalid_fields"),
    ],
)
async def test_a_change_that_can_not_be(drops: Drops, changes: dict[str, Any], code: str) -> None:
    drop = await drops.made(starts_at=in_seconds(60))
    assert code_of(await drops.patch(drop, **changes)) == (422, code)
    assert (await drops.page(drop)).json() == drop


async def test_nobody_else_changes_a_drop(drops: Drops) -> None:
    drop, draft = await drops.made(starts_at=in_seconds(60)), await drops.made(draft=True)
    unknown = {"id": str(new_id())}
    owner = drops.creator
    for stranger in (await make_creator(drops.database), await make_user(drops.database)):
        drops.creator = stranger
        assert code_of(await drops.patch(drop, stock=1)) == (403, "forbidden")
        assert code_of(await publish(drops, drop)) == (403, "forbidden")
        for hidden in (draft, unknown):
            assert code_of(await drops.patch(hidden, stock=1)) == (404, "not_found")
            assert code_of(await publish(drops, hidden)) == (404, "not_found")
    drops.creator = {}
    for any_drop in (drop, draft, unknown):
        assert code_of(await drops.patch(any_drop, stock=1)) == (401, "auth_required")
        assert code_of(await drops.client.post(f"/drops/{any_drop['id']}/publish")) == (401, "auth_required")
    assert (await drops.page(drop)).json() == drop
    assert (await drops.page(draft, owner)).json() == draft


async def test_what_is_answered_was_read_afterwards(drops: Drops) -> None:
    """A page that another reader had just fetched is not what the creator is shown."""
    drop = await drops.made(starts_at=in_seconds(60))
    for units in range(11, 20):
        assert (await drops.page(drop)).json()["available"] == units - 1
        assert (await drops.patch(drop, stock=units)).json()["available"] == units
