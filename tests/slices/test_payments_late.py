"""Money that comes late, twice or for nothing, and webhooks that come before, after and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import pytest

from doubles import NextCharge
from livedrop.kit.ids import new_id
from livedrop.payments import Captured, Declined, PaymentEvent, Refunded, Voided
from livedrop.payments.sandbox.wire import WEBHOOK_EVENTS_MAX
from marketplace import Json, Marketplace, Person, is_told_again, open_marketplace, refused, shown
from running_sandbox import eventually


class Sale:
    """A drop of two units, and a buyer."""

    def __init__(self, market: Marketplace, creator: Person, buyer: Person, drop: Json) -> None:
        self.market = market
        self.creator = creator
        self.buyer = buyer
        self.drop = drop

    async def declined(self, *, quantity: int = 1) -> Json:
        """A reservation whose payment was declined, as everybody believes."""
        order = await self.market.reserved(self.buyer, self.drop, quantity=quantity)
        assert refused(await self.market.pay(self.buyer, order, "pm_card_declined"))[0] == 402
        return order

    async def expired(self, *, quantity: int = 1) -> Json:
        """The same, whose hold has ended meanwhile."""
        order = await self.declined(quantity=quantity)
        await self.market.end_hold(order)
        await self.market.expire()
        assert await self.status(order) == "expired"
        return order

    async def money_comes(self, order: Json) -> UUID:
        """The provider took the money after all, and tells so."""
        payment_id = (await self.market.payments(order))[0][0]
        self.market.provider.outcomes[payment_id] = Captured()
        answer = await self.market.webhook(self.market.provider.event_of(payment_id))
        assert answer.status_code == 204, answer.text
        return payment_id

    async def status(self, order: Json) -> str:
        return await self.market.status(order, self.buyer)

    async def units(self) -> tuple[int, int, int]:
        return await self.market.units(self.drop)


@pytest.fixture
async def sale(database_url: str) -> AsyncIterator[Sale]:
    async with open_marketplace(database_url) as market:
        creator = await market.creator()
        yield Sale(market, creator, await market.person(), await market.drop(creator, stock=2, per_customer_limit=2))
        assert await market.breaches() == []


async def test_late_money_takes_the_units_again_where_there_are_some(sale: Sale) -> None:
    order = await sale.expired(quantity=2)
    payment_id = await sale.money_comes(order)
    assert await sale.status(order) == "paid"
    assert await sale.market.payments(order) == [(payment_id, "captured")]
    assert await sale.units() == (0, 0, 2)


async def _sell_the_rest(sale: Sale) -> None:
    await sale.market.bought(await sale.market.person(), sale.drop)


async def _reach_the_limit(sale: Sale) -> None:
    await sale.market.add_stock(sale.creator, sale.drop, 10)
    await sale.market.reserved(sale.buyer, sale.drop)


async def _cancel_the_drop(sale: Sale) -> None:
    shown(await sale.market.post(f"/drops/{sale.drop['id']}/cancel", by=sale.creator), 200)


@pytest.mark.parametrize("meanwhile", [_sell_the_rest, _reach_the_limit, _cancel_the_drop])
async def test_late_money_goes_back_once_where_there_is_nothing_for_it(sale: Sale, meanwhile: object) -> None:
    market = sale.market
    order = await sale.expired(quantity=2)
    assert callable(meanwhile)
    await meanwhile(sale)
    units = await sale.units()
    payment_id = await sale.money_comes(order)
    await sale.money_comes(order)
    assert await market.payments(order) == [(payment_id, "refund_pending")]
    assert await market.breaches() == []
    assert await market.recovery().run_once() == 1
    assert await market.payments(order) == [(payment_id, "refunded")]
    assert await sale.status(order) == "expired"
    assert await sale.units() == units
    assert market.provider.refunded == [payment_id]


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
async def test_late_money_for_an_order_that_has_failed_or_was_cancelled_always_goes_back(
    sale: Sale, ending: str
) -> None:
    market, buyer = sale.market, sale.buyer
    if ending == "failed":
        declined = await market.order(buyer, sale.drop, "one", payment_method="pm_card_declined")
        order = {"id": declined.json()["order_id"]}
    else:
        order = await sale.declined()
        shown(await market.delete(f"/reservations/{order['id']}", by=buyer), 200)
    payment_id = await sale.money_comes(order)
    assert await market.recovery().run_once() == 1
    assert await sale.status(order) == ending
    assert market.provider.outcomes[payment_id] == Refunded()
    assert await sale.units() == (2, 0, 0)
    if ending == "failed":
        again = await market.order(buyer, sale.drop, "one", payment_method="pm_card_declined")
        assert is_told_again(declined, again), "the first answer stays what it was"


async def test_late_money_pays_a_reservation_that_is_still_held(sale: Sale) -> None:
    order = await sale.declined()
    await sale.money_comes(order)
    assert await sale.status(order) == "paid"
    assert await sale.units() == (1, 0, 1)


async def test_a_second_capture_is_called_off(sale: Sale) -> None:
    market, provider = sale.market, sale.market.provider
    order = await sale.declined()
    paid = await market.pay(sale.buyer, order, key="second")
    second = UUID(shown(paid, 201)["payment_id"])
    for _ in range(2):
        first = await sale.money_comes(order)
        assert await market.breaches() == []
        assert await market.recovery().run_once() == 1
        assert await market.payments(order) == [(first, "voided"), (second, "captured")]
        assert provider.outcomes == {first: Refunded(), second: Captured()}
    await market.webhook(provider.event_of(first))
    await market.recovery().run_once()
    assert await market.payments(order) == [(first, "voided"), (second, "captured")]
    assert await sale.status(order) == "paid"
    assert await sale.units() == (1, 0, 1)
    assert is_told_again(paid, await market.pay(sale.buyer, order, key="second"))


async def test_late_money_overtakes_a_second_payment_which_is_called_off(sale: Sale) -> None:
    market, provider, decided = sale.market, sale.market.provider, asyncio.Event()
    order = await sale.declined()
    provider.next_charges.append(NextCharge(decides_after=decided))
    paying = asyncio.create_task(market.pay(sale.buyer, order, key="second"))
    await eventually(lambda: len(provider.charges) == 2)
    first = await sale.money_comes(order)
    decided.set()
    assert refused(await paying) == (409, "already_paid")
    second = provider.charges[1].payment_id
    assert await market.recovery().run_once() == 1
    assert await market.payments(order) == [(first, "captured"), (second, "voided")]
    assert provider.outcomes == {first: Captured(), second: Refunded()}
    assert (await sale.status(order), await sale.units()) == ("paid", (1, 0, 1))


async def test_a_webhook_before_the_reply(sale: Sale) -> None:
    market, provider, answered = sale.market, sale.market.provider, asyncio.Event()
    provider.next_charges.append(NextCharge(answers_after=answered))
    ordering = asyncio.create_task(market.order(sale.buyer, sale.drop, "one", payment_method="pm_card_ok"))
    await eventually(lambda: len(provider.outcomes) == 1)
    event = provider.event_of(provider.charges[0].payment_id)
    assert (await market.webhook(event)).status_code == 204
    assert await sale.units() == (1, 0, 1)
    async with market.unchanged():
        answered.set()
        assert shown(await ordering, 201)["status"] == "paid"
        assert (await market.webhook(event)).status_code == 204


async def test_a_webhook_that_comes_twice_late_or_in_the_wrong_order_changes_nothing(sale: Sale) -> None:
    market, provider = sale.market, sale.market.provider
    paid, refunded = await market.bought(sale.buyer, sale.drop), await market.bought(sale.buyer, sale.drop)
    shown(await market.post(f"/orders/{refunded['id']}/refund", by=sale.creator), 200)
    (captured, back) = (provider.event_of(charge.payment_id) for charge in provider.charges)
    async with market.unchanged():
        for order, event in ((paid, captured), (refunded, back)):
            outcomes: list[Captured | Declined | Voided | Refunded] = [Declined("late"), Voided(), Captured()]
            for outcome in outcomes if event is captured else [*outcomes, Refunded()]:
                said = msgspec.structs.replace(event, outcome=outcome)
                assert (await market.webhook(said, said)).status_code == 204
            assert await sale.status(order) == ("paid" if order is paid else "refunded")


async def test_a_refund_that_is_told_before_the_capture(sale: Sale) -> None:
    market, provider = sale.market, sale.market.provider
    provider.next_charges.append(NextCharge(answers=False))
    order = shown(await market.order(sale.buyer, sale.drop, payment_method="pm_card_ok"), 202)
    captured = provider.event_of(provider.charges[0].payment_id)
    assert (await market.webhook(msgspec.structs.replace(captured, outcome=Refunded()))).status_code == 204
    assert (await sale.status(order), await sale.units()) == ("refunded", (2, 0, 0))
    async with market.unchanged():
        assert (await market.webhook(captured)).status_code == 204


async def test_a_webhook_that_tells_of_what_there_is_not(sale: Sale) -> None:
    market = sale.market
    order = await market.bought(sale.buyer, sale.drop)
    elsewhere = await market.drop(sale.creator)
    event = market.provider.event_of(UUID(order["payment_id"]))
    async with market.unchanged():
        for changes in (
            {"payment_id": new_id()},
            {"order_id": new_id()},
            {"drop_id": new_id()},
            {"drop_id": UUID(elsewhere["id"])},
            {"payment_id": new_id(), "order_id": new_id(), "drop_id": new_id()},
        ):
            for outcome in (Captured(), Declined("x"), Refunded()):
                said: PaymentEvent = msgspec.structs.replace(event, outcome=outcome, **changes)
                assert (await market.webhook(said)).status_code == 204, changes


async def test_one_unknown_event_among_many_holds_up_no_other(sale: Sale) -> None:
    market, provider = sale.market, sale.market.provider
    provider.next_charges.append(NextCharge(answers=False))
    order = shown(await market.order(sale.buyer, sale.drop, payment_method="pm_card_ok"), 202)
    event = provider.event_of(provider.charges[0].payment_id)
    unknown = [msgspec.structs.replace(event, payment_id=new_id()) for _ in range(WEBHOOK_EVENTS_MAX - 1)]
    assert (await market.webhook(*unknown, event)).status_code == 204
    assert await sale.status(order) == "paid"


async def test_a_webhook_that_is_not_the_providers(sale: Sale) -> None:
    market, provider = sale.market, sale.market.provider
    provider.next_charges.append(NextCharge(answers=False))
    shown(await market.order(sale.buyer, sale.drop, payment_method="pm_card_ok"), 202)
    event = provider.event_of(provider.charges[0].payment_id)
    async with market.unchanged():
        for answer in (
            await market.webhook(event, webhook_signature=b"v1,AAAA"),
            await market.webhook(event, webhook_signature=b""),
            await market.webhook(event, webhook_id=b"another"),
            await market.webhook(event, webhook_timestamp=b"1700000000"),
            await market.webhook(event, body=b'{"events":[]}'),
            await market.post("/payments/webhooks/sandbox", {"events": []}),
        ):
            assert refused(answer) == (400, "bad_signature")
        assert refused(await market.post("/payments/webhooks/nobody", {})) == (404, "not_found")
    assert (await market.webhook(event)).status_code == 204
