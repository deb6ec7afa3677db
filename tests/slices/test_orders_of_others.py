"""Orders of other people, and orders that have ended: what is not one's own or not possible changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from marketplace import Json, Marketplace, Person, open_marketplace, refused, shown

CARD = {"payment_method": "pm_card_ok"}


class Sale:
    """A creator's drop, a buyer with a reserved and a paid order, and people whom neither concerns."""

    def __init__(self, market: Marketplace, creator: Person, buyer: Person, drop: Json) -> None:
        self.market = market
        self.creator = creator
        self.buyer = buyer
        self.drop = drop


@pytest.fixture
async def sale(database_url: str) -> AsyncIterator[Sale]:
    async with open_marketplace(database_url) as market:
        creator = await market.creator()
        yield Sale(market, creator, await market.person(), await market.drop(creator, stock=10))


async def test_anothers_order_is_not_there(sale: Sale) -> None:
    market, drop = sale.market, sale.drop
    reserved = await market.reserved(sale.buyer, drop)
    paid = await market.bought(sale.buyer, drop)
    for stranger in (await market.person(), await market.creator()):
        await market.reserved(stranger, drop)
        async with market.unchanged():
            for order in (reserved, paid):
                for answer in (
                    await market.get(f"/orders/{order['id']}", by=stranger),
                    await market.pay(stranger, order),
                    await market.post("/payments", CARD | {"order_id": order["id"]}, by=stranger, key="one"),
                    await market.post(
                        f"/drops/{drop['id']}/purchase", CARD | {"order_id": order["id"]}, by=stranger, key="two"
                    ),
                    await market.put(f"/orders/{order['id']}/cancel", by=stranger),
                    await market.delete(f"/reservations/{order['id']}", by=stranger),
                    await market.post(f"/orders/{order['id']}/refund", by=stranger),
                ):
                    assert refused(answer) == (404, "not_found"), str(answer.request.url)
            payment = await market.get(f"/payments/{paid['payment_id']}", by=stranger)
            assert refused(payment) == (404, "not_found")
            seen = shown(await market.get(f"/orders?drop_id={drop['id']}", by=stranger), 200)["items"]
            assert {order["user_id"] for order in seen} == {stranger.id}
            assert refused(await market.post(f"/drops/{drop['id']}/cancel", by=stranger)) == (403, "forbidden")
    assert market.provider.refunded == []


async def test_a_buyer_can_not_do_what_is_the_creators(sale: Sale) -> None:
    market, buyer = sale.market, sale.buyer
    paid = await market.bought(buyer, sale.drop)
    async with market.unchanged():
        assert refused(await market.post(f"/orders/{paid['id']}/refund", by=buyer)) == (403, "forbidden")
        assert refused(await market.put(f"/orders/{paid['id']}/cancel", by=buyer)) == (409, "already_paid")
        assert refused(await market.delete(f"/reservations/{paid['id']}", by=buyer)) == (409, "already_paid")


async def test_a_creator_can_not_do_what_is_the_buyers(sale: Sale) -> None:
    market, creator, drop = sale.market, sale.creator, sale.drop
    reserved = await market.reserved(sale.buyer, drop)
    paid = await market.bought(sale.buyer, drop)
    async with market.unchanged():
        for order in (reserved, paid):
            for answer in (
                await market.pay(creator, order),
                await market.post("/payments", CARD | {"order_id": order["id"]}, by=creator),
                await market.delete(f"/reservations/{order['id']}", by=creator),
            ):
                assert refused(answer) == (404, "not_found"), str(answer.request.url)
    assert market.provider.refunded == []


async def test_giving_back_what_one_bought_from_oneself_refunds_nothing(sale: Sale) -> None:
    market, creator = sale.market, sale.creator
    paid = await market.bought(creator, sale.drop)
    async with market.unchanged():
        assert refused(await market.delete(f"/reservations/{paid['id']}", by=creator)) == (409, "already_paid")
    held = await market.reserved(creator, sale.drop)
    assert shown(await market.delete(f"/reservations/{held['id']}", by=creator), 200)["status"] == "cancelled"


async def test_a_strangers_draft_is_not_there_to_be_cancelled_or_purchased(sale: Sale) -> None:
    market, buyer = sale.market, sale.buyer
    draft = await market.drop(sale.creator, draft=True)
    async with market.unchanged():
        assert refused(await market.post(f"/drops/{draft['id']}/cancel", by=buyer)) == (404, "not_found")
        assert refused(await market.post(f"/drops/{draft['id']}/purchase", CARD, by=buyer)) == (404, "not_found")


async def _ended(sale: Sale, how: str) -> Json:
    """The buyer's order, ended in this way."""
    market, buyer, drop = sale.market, sale.buyer, sale.drop
    if how == "failed":
        declined = await market.order(buyer, drop, payment_method="pm_card_declined")
        return {"id": declined.json()["order_id"]}
    if how == "refunded":
        order = await market.bought(buyer, drop)
        shown(await market.post(f"/orders/{order['id']}/refund", by=sale.creator), 200)
        return order
    order = await market.reserved(buyer, drop)
    if how == "cancelled":
        shown(await market.delete(f"/reservations/{order['id']}", by=buyer), 200)
    else:
        await market.end_hold(order)
        await market.expire()
    return order


@pytest.mark.parametrize(
    ("how", "to_pay", "to_cancel", "to_refund"),
    [
        ("failed", "order_closed", "order_closed", "not_refundable"),
        ("expired", "hold_expired", "order_closed", "not_refundable"),
        ("cancelled", "order_closed", None, "not_refundable"),
        ("refunded", "already_paid", "order_closed", None),
    ],
)
async def test_an_order_that_has_ended(
    sale: Sale, how: str, to_pay: str, to_cancel: str | None, to_refund: str | None
) -> None:
    """What is asked again of an order that is that way already (None) is answered as it was; nothing else is."""
    market, buyer, creator = sale.market, sale.buyer, sale.creator
    order = await _ended(sale, how)
    refunds = len(market.provider.refunded)
    async with market.unchanged():
        assert await market.status(order, buyer) == how
        tries = [
            (await market.pay(buyer, order), to_pay),
            (await market.put(f"/orders/{order['id']}/cancel", by=buyer), to_cancel),
            (await market.delete(f"/reservations/{order['id']}", by=buyer), to_cancel),
            (await market.post(f"/orders/{order['id']}/refund", by=creator), to_refund),
        ]
        for answer, code in tries:
            if code is None:
                assert shown(answer, 200)["status"] == how
            else:
                assert refused(answer) == (409, code), str(answer.request.url)
    assert len(market.provider.refunded) == refunds
    assert await market.units(sale.drop) == (10, 0, 0)


async def test_what_is_not_paid_can_not_be_refunded_and_what_is_paid_not_paid_again(sale: Sale) -> None:
    market, buyer, creator, drop = sale.market, sale.buyer, sale.creator, sale.drop
    reserved = await market.reserved(buyer, drop)
    async with market.unchanged():
        assert refused(await market.post(f"/orders/{reserved['id']}/refund", by=creator)) == (409, "not_refundable")
    paid = await market.bought(buyer, drop)
    charges = len(market.provider.charges)
    async with market.unchanged():
        assert refused(await market.pay(buyer, paid)) == (409, "already_paid")
        answer = await market.post(f"/drops/{drop['id']}/purchase", CARD | {"order_id": paid["id"]}, by=buyer)
        assert refused(answer) == (409, "already_paid")
    assert len(market.provider.charges) == charges


async def test_a_hold_that_has_ended_is_not_paid_though_nobody_has_released_it_yet(sale: Sale) -> None:
    market, buyer = sale.market, sale.buyer
    order = await market.reserved(buyer, sale.drop)
    await market.end_hold(order)
    async with market.unchanged():
        assert refused(await market.pay(buyer, order)) == (409, "hold_expired")
        purchase = await market.post(f"/drops/{sale.drop['id']}/purchase", CARD, by=buyer)
        assert refused(purchase) == (409, "nothing_reserved")
        assert shown(await market.get("/reservations/me", by=buyer), 200)["items"] == []
    assert market.provider.charges == []


async def test_a_purchase_means_a_reservation_on_that_drop(sale: Sale) -> None:
    market, buyer = sale.market, sale.buyer
    elsewhere = await market.drop(sale.creator)
    order = await market.reserved(buyer, elsewhere)
    async with market.unchanged():
        path = f"/drops/{sale.drop['id']}/purchase"
        assert refused(await market.post(path, CARD, by=buyer)) == (409, "nothing_reserved")
        answer = await market.post(path, CARD | {"order_id": order["id"]}, by=buyer)
        assert refused(answer) == (404, "not_found")


async def test_one_key_does_not_pay_two_orders(sale: Sale) -> None:
    market, buyer, drop = sale.market, sale.buyer, sale.drop
    first, second = await market.reserved(buyer, drop), await market.reserved(buyer, drop)
    shown(await market.pay(buyer, first, key="one"), 201)
    async with market.unchanged():
        assert refused(await market.pay(buyer, second, key="one")) == (422, "idempotency_key_reused")
        answer = await market.post("/payments", CARD | {"order_id": second["id"]}, by=buyer, key="one")
        assert refused(answer) == (422, "idempotency_key_reused")
        answer = await market.pay(buyer, first, "pm_card_declined", key="one")
        assert refused(answer) == (422, "idempotency_key_reused")
