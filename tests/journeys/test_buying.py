"""From signing up to getting the money back: the path of a creator and its buyers through the whole API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from doubles import NextCharge
from livedrop.orders import wind_up_cancelled
from livedrop.payments import Refunded
from marketplace import Json, Marketplace, Person, in_seconds, is_told_again, open_marketplace, refused, shown
from running_sandbox import eventually


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Marketplace]:
    async with open_marketplace(database_url) as opened:
        yield opened
        assert await opened.breaches() == []


async def _signed_up(market: Marketplace, name: str) -> Person:
    body = {"email": f"{name}@example.com", "password": "correct horse battery", "name": name}
    answer = shown(await market.post("/auth/register", body), 201)
    return Person(answer["user"]["id"], answer["access_token"])


async def _sizes(market: Marketplace, creator: Person) -> Json:
    """A live drop of two sizes: three small ones, and one large one that is dearer."""
    shown(await market.post("/creators", {"handle": "ada", "display_name": "Ada"}, by=creator), 201)
    variants = [{"sku": "S", "name": "Small"}, {"sku": "L", "name": "Large", "price_minor": 2_500}]
    body = {"title": "Shirt", "price_minor": 2_000, "currency": "EUR", "variants": variants}
    product = shown(await market.post("/products", body, by=creator), 201)
    small, large = product["variants"]
    drop = {
        "product_id": product["id"],
        "starts_at": in_seconds(-1),
        "stock": {small["id"]: 3, large["id"]: 1},
        "per_customer_limit": 2,
        "hold_seconds": 600,
    }
    return shown(await market.post("/drops", drop, by=creator), 201)


async def test_from_signing_up_to_getting_the_money_back(market: Marketplace) -> None:
    creator, buyer = await _signed_up(market, "creator"), await _signed_up(market, "buyer")
    drop = await _sizes(market, creator)
    small, large = (lot["variant_id"] for lot in drop["lots"])
    assert (drop["phase"], drop["available"]) == ("live", 4)

    held = await market.reserved(buyer, drop, variant_id=large)
    assert (held["status"], held["total_minor"], held["user_id"]) == ("reserved", 2_500, buyer.id)
    assert held["hold_expires_at"] > held["created_at"]
    holds = shown(await market.get("/reservations/me", by=buyer), 200)
    assert holds == {"items": [held], "next": None}

    paid = shown(await market.pay(buyer, held, key="pay"), 201)
    assert (paid["id"], paid["status"], paid["hold_expires_at"]) == (held["id"], "paid", None)
    assert await market.now(held, buyer) == await market.now(held, creator) == paid
    charge = market.provider.charges[0]
    assert (charge.amount_minor, charge.currency, str(charge.payment_id)) == (2_500, "EUR", paid["payment_id"])
    assert refused(await market.reserve(await market.person(), drop, variant_id=large)) == (409, "sold_out")

    activity = (await market.get(f"/drops/{drop['id']}/activity")).json()
    assert [(entry["name"], entry["quantity"]) for entry in activity] == [("buyer", 1)]

    one_step = await market.order(buyer, drop, "one", variant_id=small, payment_method="pm_card_ok")
    assert shown(one_step, 201)["total_minor"] == 2_000
    assert refused(await market.reserve(buyer, drop, variant_id=small)) == (409, "limit_reached")

    back = shown(await market.post(f"/orders/{held['id']}/refund", by=creator), 200)
    assert back["status"] == "refunded"
    assert market.provider.outcomes[charge.payment_id] == Refunded()
    assert await market.units(drop) == (3, 0, 1)
    shown(await market.reserve(buyer, drop, variant_id=large), 201)
    assert is_told_again(
        one_step, await market.order(buyer, drop, "one", variant_id=small, payment_method="pm_card_ok")
    )


async def test_purchasing_pays_the_oldest_reservation_or_the_one_that_is_named(market: Marketplace) -> None:
    buyer = await market.person()
    drop = await market.drop(await market.creator())
    path, card = f"/drops/{drop['id']}/purchase", {"payment_method": "pm_card_ok"}
    oldest, middle, newest = [await market.reserved(buyer, drop) for _ in range(3)]
    first = await market.post(path, card, by=buyer, key="one")
    assert shown(first, 201)["id"] == oldest["id"]
    named = await market.post(path, card | {"order_id": newest["id"]}, by=buyer)
    assert shown(named, 201)["id"] == newest["id"]
    assert is_told_again(first, await market.post(path, card, by=buyer, key="one"))
    assert shown(await market.post(path, card, by=buyer, key="two"), 201)["id"] == middle["id"]
    assert refused(await market.post(path, card, by=buyer)) == (409, "nothing_reserved")
    by_name = await market.post("/payments", card | {"order_id": oldest["id"]}, by=buyer)
    assert refused(by_name) == (409, "already_paid")


async def test_giving_back_lets_somebody_else_have_it(market: Marketplace) -> None:
    buyer, other = await market.person(), await market.person()
    drop = await market.drop(await market.creator(), stock=1)
    given_back = await market.reserved(buyer, drop)
    for _ in range(2):
        answer = await market.delete(f"/reservations/{given_back['id']}", by=buyer)
        assert shown(answer, 200)["status"] == "cancelled"
    cancelled = await market.reserved(other, drop)
    assert shown(await market.put(f"/orders/{cancelled['id']}/cancel", by=other), 200)["status"] == "cancelled"
    assert shown(await market.get("/reservations/me", by=buyer), 200)["items"] == []
    await market.bought(buyer, drop)
    assert await market.units(drop) == (0, 0, 1)


async def test_an_expired_hold_lets_somebody_else_have_it(market: Marketplace) -> None:
    buyer = await market.person()
    drop = await market.drop(await market.creator(), stock=1, hold_seconds=1)
    order = await market.reserved(buyer, drop)

    async def is_free() -> bool:
        await market.expire()
        return await market.units(drop) == (1, 0, 0)

    await eventually(is_free)
    assert await market.status(order, buyer) == "expired"
    await market.bought(await market.person(), drop)


async def test_a_hold_taken_before_the_end_is_paid_after_it(market: Marketplace) -> None:
    buyer = await market.person()
    drop = await market.drop(await market.creator(), ends_at=in_seconds(0.7))
    order = await market.reserved(buyer, drop)

    async def has_ended() -> bool:
        page = shown(await market.get(f"/drops/{drop['id']}"), 200)
        return bool(page["phase"] == "ended")

    await eventually(has_ended)
    assert refused(await market.reserve(buyer, drop)) == (409, "drop_ended")
    assert shown(await market.pay(buyer, order), 201)["status"] == "paid"


async def _pages(market: Marketplace, query: str, by: Person) -> list[list[str]]:
    """The ids on all pages of a list."""
    pages, after = [], ""
    while True:
        page = shown(await market.get(f"/orders?{query}{after}", by=by), 200)
        pages.append([order["id"] for order in page["items"]])
        if page["next"] is None:
            return pages
        after = f"&after={page['next']}"


async def test_orders_are_listed_newest_first_page_by_page(market: Marketplace) -> None:
    creator, buyer, other = await market.creator(), await market.person(), await market.person()
    drop, elsewhere = await market.drop(creator, stock=20), await market.drop(creator, stock=20)
    mine = [(await market.reserved(buyer, drop))["id"] for _ in range(5)]
    mine.append((await market.bought(buyer, elsewhere))["id"])
    others = [(await market.reserved(other, drop))["id"] for _ in range(2)]
    mine.reverse()
    others.reverse()

    assert await _pages(market, "limit=4", buyer) == [mine[:4], mine[4:]]
    assert await _pages(market, "limit=6", buyer) == [mine]
    assert await _pages(market, f"drop_id={elsewhere['id']}", buyer) == [mine[:1]]
    assert await _pages(market, f"limit=3&drop_id={drop['id']}", creator) == [
        [*others, mine[1]],
        mine[2:5],
        mine[5:],
    ]
    assert await _pages(market, "", creator) == [[]]
    assert await _pages(market, "page=2&limit=5", buyer) == [mine[5:]]

    first = shown(await market.get("/orders?limit=2", by=buyer), 200)
    newer = await market.reserved(buyer, drop)
    rest = await _pages(market, f"limit=100&after={first['next']}", buyer)
    assert rest == [mine[2:]], "what is written meanwhile moves nothing"
    assert (await _pages(market, "limit=1", buyer))[0] == [newer["id"]]


async def test_cancelling_a_drop_gives_everything_back(market: Marketplace) -> None:
    creator, buyer = await market.creator(), await market.person()
    drop = await market.drop(creator, stock=10)
    free = await market.drop(creator, price_minor=0)
    gift = shown(await market.order(buyer, free), 201)
    reserved, paid = await market.reserved(buyer, drop), await market.bought(buyer, drop, quantity=2)
    market.provider.next_charges.append(NextCharge(answers=False))
    unheard = shown(await market.order(buyer, drop, payment_method="pm_card_ok"), 202)
    answered = asyncio.Event()
    market.provider.next_charges.append(NextCharge(decides_after=answered))
    paying = asyncio.create_task(market.order(buyer, drop, payment_method="pm_card_ok"))
    await eventually(lambda: len(market.provider.charges) == 3)

    for each in (drop, free):
        for _ in range(2):
            answer = shown(await market.post(f"/drops/{each['id']}/cancel", by=creator), 200)
            assert answer["phase"] == "cancelled"
    assert refused(await market.pay(buyer, reserved)) == (409, "drop_cancelled")
    while await wind_up_cancelled(market.database, market.wired.till):
        pass
    assert await market.status(reserved, buyer) == "cancelled"
    assert await market.status(gift, buyer) == "refunded"

    answered.set()
    last = shown(await paying, 201)
    assert last["status"] == "paid"

    async def is_all_back() -> bool:
        await wind_up_cancelled(market.database, market.wired.till)
        await market.recovery().run_once()
        return await market.units(drop) == (10, 0, 0)

    await eventually(is_all_back)
    assert [await market.status(order, buyer) for order in (paid, unheard, last)] == ["refunded"] * 3
    assert set(map(str, market.provider.refunded)) == {
        payment for order in (paid, unheard, last) if (payment := order["payment_id"])
    }
    assert await market.units(free) == (5, 0, 0)
    async with market.unchanged():
        assert await wind_up_cancelled(market.database, market.wired.till) == 0
        assert await market.recovery().run_once() == 0
