"""What must not happen when an order is placed: each of these gets its 4xx, and not one row changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from livedrop.kit.ids import new_id
from marketplace import Json, Marketplace, Person, in_seconds, is_replay, open_marketplace, refused, shown


class Placing:
    """A buyer in front of a live drop of one variant, and the two ways to ask for its units."""

    def __init__(self, market: Marketplace, creator: Person, buyer: Person, drop: Json) -> None:
        self.market = market
        self.creator = creator
        self.buyer = buyer
        self.drop = drop
        self.ways = {"/orders": {"drop_id": drop["id"], "quantity": 1}, f"/drops/{drop['id']}/reserve": {}}

    async def try_both(self, changes: dict[str, Any]) -> list[tuple[int, str]]:
        return [
            refused(await self.market.post(path, body | changes, by=self.buyer, key="one"))
            for path, body in self.ways.items()
        ]


@pytest.fixture
async def placing(database_url: str) -> AsyncIterator[Placing]:
    async with open_marketplace(database_url) as market:
        creator = await market.creator()
        yield Placing(market, creator, await market.person(), await market.drop(creator))


BAD_KEYS: dict[str, list[bytes]] = {
    "none": [],
    "empty": [b""],
    "blank": [b"   "],
    "empty in quotes": [b'""'],
    "256 characters": [b"k" * 256],
    "256 characters in quotes": [b'"' + b"k" * 256 + b'"'],
    "not ASCII": ["schlüssel".encode()],
    "not ASCII, in one byte each": ["schlüssel".encode("latin-1")],
    "a control character": [b"a\x07b"],
    "a quote that is left open": [b'"abc'],
    "said twice": [b"one", b"one"],
    "two": [b"one", b"two"],
}


async def test_a_key_that_is_none(placing: Placing) -> None:
    market, buyer = placing.market, placing.buyer
    async with market.unchanged():
        for name, keys in BAD_KEYS.items():
            headers = [(b"idempotency-key", key) for key in keys]
            code = "idempotency_key_invalid" if keys else "idempotency_key_missing"
            for path, body in placing.ways.items():
                answer = await market.call("POST", path, body, by=buyer, headers=headers)
                assert refused(answer) == (400, code), (path, name)


async def test_a_key_that_is_none_where_none_is_needed(placing: Placing) -> None:
    """Who sends a key wants to be safe, also where it is optional."""
    market, buyer, drop = placing.market, placing.buyer, placing.drop
    order = await market.reserved(buyer, drop)
    card = {"payment_method": "pm_card_ok"}
    ways: dict[str, Json] = {
        f"/orders/{order['id']}/pay": card,
        "/payments": card | {"order_id": order["id"]},
        f"/drops/{drop['id']}/purchase": card,
        "/creators": {"handle": "another", "display_name": "Another"},
    }
    async with market.unchanged():
        for name, keys in BAD_KEYS.items():
            headers = [(b"idempotency-key", key) for key in keys]
            for path, body in ways.items() if keys else ():
                answer = await market.call("POST", path, body, by=buyer, headers=headers)
                assert refused(answer) == (400, "idempotency_key_invalid"), (path, name)


async def test_a_key_in_quotes_is_the_same_key(placing: Placing) -> None:
    for key in ("k", "k" * 255, "two words", 'say "so"', "\\"):
        quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
        first = await placing.market.order(placing.buyer, placing.drop, key)
        again = await placing.market.order(placing.buyer, placing.drop, quoted)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.content == first.content
        assert (is_replay(first), is_replay(again)) == (False, True)


async def test_a_key_that_was_used_for_another_request(placing: Placing) -> None:
    market, buyer, drop = placing.market, placing.buyer, placing.drop
    await market.reserved(buyer, drop, key="reserved")
    shown(await market.order(buyer, drop, "ordered"), 201)
    others: list[Json] = [
        {"quantity": 2},
        {"payment_method": "pm_card_ok"},
        {"variant_id": drop["lots"][0]["variant_id"]},
        {"expected_total_minor": 1_500},
    ]
    async with market.unchanged():
        for other in others:
            answer = await market.order(buyer, drop, "ordered", **other)
            assert refused(answer) == (422, "idempotency_key_reused"), other
        for other in others[::2]:
            answer = await market.reserve(buyer, drop, "reserved", **other)
            assert refused(answer) == (422, "idempotency_key_reused"), other
        assert refused(await market.reserve(buyer, drop, "ordered")) == (422, "idempotency_key_reused")
        assert refused(await market.order(buyer, drop, "reserved")) == (422, "idempotency_key_reused")


async def test_a_key_is_one_buyers_and_one_drops(placing: Placing) -> None:
    market, drop = placing.market, placing.drop
    other_drop = await market.drop(placing.creator)
    other_buyer = await market.person()
    answers = [
        await market.order(placing.buyer, drop, "one"),
        await market.order(other_buyer, drop, "one"),
        await market.order(placing.buyer, other_drop, "one"),
    ]
    assert len({shown(answer, 201)["id"] for answer in answers}) == 3


async def test_a_quantity_that_is_none(placing: Placing) -> None:
    quantities: list[Any] = [0, -5, 1.5, 1.0, "1", 2**63, 2**64, -(2**63) - 1, 1_001, None, True, [1], {}, ""]
    async with placing.market.unchanged():
        for quantity in quantities:
            assert await placing.try_both({"quantity": quantity}) == [(422, "invalid_fields")] * 2, quantity


FIELDS_OF_OTHERS = (
    *("status", "user_id", "creator_id", "price_minor", "unit_price_minor", "total_minor", "currency", "id"),
    *("hold_expires_at", "payment_id", "created_at", "idempotency_key", "available", "__proto__", "Quantity"),
)


async def test_a_field_that_is_not_the_buyers_to_set(placing: Placing) -> None:
    async with placing.market.unchanged():
        for field in FIELDS_OF_OTHERS:
            answer = await placing.market.order(placing.buyer, placing.drop, "one", **{field: 1})
            assert refused(answer) == (422, "invalid_fields")
            assert answer.json()["errors"][0]["field"] == field
            answer = await placing.market.reserve(placing.buyer, placing.drop, "one", **{field: 1})
            assert refused(answer) == (422, "invalid_fields")


async def test_a_variant_that_is_none_of_the_drops(placing: Placing) -> None:
    market = placing.market
    sizes = await market.drop(placing.creator, variants=2)
    async with market.unchanged():
        for variant in (str(new_id()), sizes["lots"][0]["variant_id"]):
            assert await placing.try_both({"variant_id": variant}) == [(422, "unknown_variant")] * 2
        for variant in ("x", 7, ""):
            assert await placing.try_both({"variant_id": variant}) == [(422, "invalid_fields")] * 2
        for left_out in ({}, {"variant_id": None}):
            answers = [
                await market.order(placing.buyer, sizes, **left_out),
                await market.reserve(placing.buyer, sizes, **left_out),
            ]
            assert [refused(answer) for answer in answers] == [(422, "variant_required")] * 2


async def test_a_drop_that_does_not_sell(placing: Placing) -> None:
    market, creator, buyer = placing.market, placing.creator, placing.buyer
    early = await market.drop(creator, starts_at=in_seconds(3_600))
    draft = await market.drop(creator, draft=True)
    unknown = {"id": str(new_id())}
    ended = await market.drop(creator, ends_at=in_seconds(3_600))
    await market.database.fetchval(
        "UPDATE drop_heads SET ends_at = clock_timestamp() WHERE drop_id = $1", UUID(ended["id"])
    )
    cancelled = await market.drop(creator)
    shown(await market.post(f"/drops/{cancelled['id']}/cancel", by=creator), 200)
    async with market.unchanged():
        for drop, by, refusal in (
            (early, buyer, (409, "not_started")),
            (early, creator, (409, "not_started")),
            (draft, buyer, (404, "not_found")),
            (draft, creator, (404, "not_found")),
            (unknown, buyer, (404, "not_found")),
            (ended, buyer, (409, "drop_ended")),
            (cancelled, buyer, (409, "drop_cancelled")),
        ):
            for answer in (
                await market.reserve(by, drop),
                await market.order(by, drop),
                await market.order(by, drop, payment_method="pm_card_ok"),
            ):
                assert refused(answer) == refusal
                assert answer.json().get("starts_at") == (early["starts_at"] if drop is early else None)
    assert market.provider.charges == []


async def test_a_total_that_is_not_the_expected_one(placing: Placing) -> None:
    market, buyer, drop = placing.market, placing.buyer, placing.drop
    async with market.unchanged():
        for expected in (0, 1, 1_499, 1_501, 3_001):
            answer = await market.order(buyer, drop, "one", quantity=2, expected_total_minor=expected)
            assert refused(answer) == (409, "price_changed")
            assert answer.json()["total_minor"] == 3_000
        for malformed in (-1, "3000", 3000.0, 2**63):
            answer = await market.order(buyer, drop, "one", quantity=2, expected_total_minor=malformed)
            assert refused(answer) == (422, "invalid_fields")
    order = shown(await market.order(buyer, drop, "one", quantity=2, expected_total_minor=3_000), 201)
    assert order["total_minor"] == 3_000


async def test_more_than_there_is_or_than_one_may_have(placing: Placing) -> None:
    market, buyer = placing.market, placing.buyer
    drop = await market.drop(placing.creator, stock=5, per_customer_limit=3)
    await market.reserved(buyer, drop, quantity=2)
    await market.reserved(await market.person(), drop, quantity=2)
    other = await market.person()
    async with market.unchanged():
        over_limit = await market.reserve(buyer, drop, quantity=2)
        assert refused(over_limit) == (409, "limit_reached")
        assert (over_limit.json()["limit"], over_limit.json()["held"]) == (3, 2)
        too_many = await market.reserve(other, drop, quantity=2)
        assert refused(too_many) == (409, "not_enough_left")
        assert too_many.json()["available"] == 1
    await market.reserved(other, drop)
    async with market.unchanged():
        for answer in (await market.order(buyer, drop), await market.reserve(other, drop, quantity=2)):
            assert refused(answer) == (409, "sold_out")
            assert answer.json()["available"] == 0
