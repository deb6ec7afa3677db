"""The recovery: payments whose outcome nobody heard, and refunds that nobody confirmed, are asked for until known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from doubles import NextCharge
from livedrop.payments import Captured, Declined, Outcome, Voided
from marketplace import Json, Marketplace, Person, open_marketplace, refused, shown

VOID_NOW = 0.0


class Sale:
    """A drop of five units, a buyer, and a payment without an answer."""

    def __init__(self, market: Marketplace, creator: Person, buyer: Person, drop: Json) -> None:
        self.market = market
        self.creator = creator
        self.buyer = buyer
        self.drop = drop

    async def unanswered(self, script: NextCharge, *, one_step: bool) -> Json:
        self.market.provider.next_charges.append(script)
        if one_step:
            return shown(await self.market.order(self.buyer, self.drop, payment_method="pm_card_ok"), 202)
        order = await self.market.reserved(self.buyer, self.drop)
        return shown(await self.market.pay(self.buyer, order), 202)

    async def recovered(self, void_after_seconds: float = 1e9) -> None:
        """One round of a worker that has not asked before."""
        assert await self.market.recovery(void_after_seconds).run_once() == 1

    async def status(self, order: Json) -> str:
        return await self.market.status(order, self.buyer)

    async def units(self) -> tuple[int, int, int]:
        return await self.market.units(self.drop)


@pytest.fixture
async def sale(database_url: str) -> AsyncIterator[Sale]:
    async with open_marketplace(database_url) as market:
        creator = await market.creator()
        yield Sale(market, creator, await market.person(), await market.drop(creator))
        assert await market.breaches() == []


CAPTURED = NextCharge(answers=False)
DECLINED = NextCharge(outcome=Declined("card_declined"), answers=False)
LOST = NextCharge(arrives=False)


@pytest.mark.parametrize("one_step", [True, False])
async def test_captured_it_is_paid(sale: Sale, one_step: bool) -> None:
    order = await sale.unanswered(CAPTURED, one_step=one_step)
    await sale.recovered()
    assert await sale.status(order) == "paid"
    assert await sale.units() == (4, 0, 1)
    assert await sale.market.recovery().run_once() == 0


@pytest.mark.parametrize(
    ("one_step", "status", "units"), [(True, "failed", (5, 0, 0)), (False, "reserved", (4, 1, 0))]
)
async def test_declined_it_fails_or_is_reserved_again(
    sale: Sale, one_step: bool, status: str, units: tuple[int, int, int]
) -> None:
    order = await sale.unanswered(DECLINED, one_step=one_step)
    await sale.recovered()
    assert await sale.status(order) == status
    assert await sale.units() == units
    assert [payment for _, payment in await sale.market.payments(order)] == ["declined"]


async def test_declined_after_the_hold_has_ended_it_expires(sale: Sale) -> None:
    order = await sale.unanswered(DECLINED, one_step=False)
    await sale.market.end_hold(order)
    await sale.market.expire()
    assert await sale.status(order) == "paying", "expiry never touches what is being paid"
    await sale.recovered()
    assert await sale.status(order) == "expired"
    assert await sale.units() == (5, 0, 0)


@pytest.mark.parametrize(
    ("one_step", "status", "units"), [(True, "failed", (5, 0, 0)), (False, "reserved", (4, 1, 0))]
)
async def test_unknown_the_units_stay_held_until_it_is_called_off(
    sale: Sale, one_step: bool, status: str, units: tuple[int, int, int]
) -> None:
    provider = sale.market.provider
    order = await sale.unanswered(LOST, one_step=one_step)
    provider.next_charges += [LOST, LOST]
    await sale.recovered()
    await sale.recovered()
    assert provider.charges == [provider.charges[0]] * 3, "asked again, for the same payment"
    assert await sale.status(order) == "paying"
    assert await sale.units() == (4, 1, 0)
    assert provider.voided == []

    await sale.recovered(VOID_NOW)
    ((payment_id, payment),) = await sale.market.payments(order)
    assert (provider.voided, payment) == ([payment_id], "voided")
    assert await sale.status(order) == status
    assert await sale.units() == units
    # Should the lost charge arrive after all, it finds itself called off.
    assert await provider.charge(provider.charges[0]) == Declined("voided")


@pytest.mark.parametrize("one_step", [True, False])
async def test_unknown_it_is_charged_again(sale: Sale, one_step: bool) -> None:
    order = await sale.unanswered(LOST, one_step=one_step)
    await sale.recovered()
    assert await sale.status(order) == "paid"
    assert await sale.units() == (4, 0, 1)
    assert len({charge.payment_id for charge in sale.market.provider.charges}) == 1


@pytest.mark.parametrize("whole_drop", [True, False])
@pytest.mark.parametrize(("one_step", "status"), [(True, "failed"), (False, "cancelled")])
async def test_unknown_nobody_is_charged_for_what_was_cancelled_meanwhile(
    sale: Sale, one_step: bool, status: str, whole_drop: bool
) -> None:
    market = sale.market
    order = await sale.unanswered(LOST, one_step=one_step)
    if whole_drop:
        shown(await market.post(f"/drops/{sale.drop['id']}/cancel", by=sale.creator), 200)
    else:
        shown(await market.put(f"/orders/{order['id']}/cancel", by=sale.creator), 200)
    await sale.recovered()
    assert await sale.status(order) == status
    assert await sale.units() == (5, 0, 0)
    assert len(market.provider.charges) == 1


@pytest.mark.parametrize("script", [CAPTURED, DECLINED])
async def test_called_off_too_late_it_is_what_it_was(
    sale: Sale, script: NextCharge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider has decided between our question and our calling it off."""
    order = await sale.unanswered(LOST, one_step=True)
    provider = sale.market.provider
    look_up = provider.look_up

    async def look_up_in_between(payment_id: UUID) -> Outcome:
        unknown = await look_up(payment_id)
        provider.outcomes[payment_id] = script.outcome
        return unknown

    monkeypatch.setattr(provider, "look_up", look_up_in_between)
    await sale.recovered(VOID_NOW)
    assert await sale.status(order) == ("paid" if script.outcome == Captured() else "failed")
    assert provider.outcomes[provider.charges[0].payment_id] != Voided()


async def test_while_the_provider_can_not_be_reached_the_units_stay_held(sale: Sale) -> None:
    order = await sale.unanswered(CAPTURED, one_step=True)
    provider = sale.market.provider
    provider.down = True
    await sale.market.end_hold(order)
    async with sale.market.unchanged():
        await sale.recovered(VOID_NOW)
        await sale.market.expire()
        provider.known_down = True
        assert await sale.market.recovery(VOID_NOW).run_once() == 0
    provider.down = provider.known_down = False
    await sale.recovered(VOID_NOW)
    assert await sale.status(order) == "paid"


async def test_one_payment_that_can_not_be_settled_holds_up_no_other(
    sale: Sale, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = sale.market.provider
    first = await sale.unanswered(CAPTURED, one_step=True)
    second = await sale.unanswered(CAPTURED, one_step=True)
    stuck = provider.charges[0].payment_id
    look_up = provider.look_up

    async def look_up_or_fail(payment_id: UUID) -> Outcome:
        if payment_id == stuck:
            raise RuntimeError("a bug")
        return await look_up(payment_id)

    with monkeypatch.context() as patch:
        patch.setattr(provider, "look_up", look_up_or_fail)
        assert await sale.market.recovery().run_once() == 2
    assert (await sale.status(first), await sale.status(second)) == ("paying", "paid")
    await sale.recovered()
    assert await sale.status(first) == "paid"


async def test_a_payment_that_stays_open_is_not_asked_for_again_at_once(sale: Sale) -> None:
    await sale.unanswered(LOST, one_step=True)
    recovery = sale.market.recovery()
    assert [await recovery.run_once() for _ in range(3)] == [1, 0, 0]
    assert len(sale.market.provider.looked_up) == 1


async def test_several_workers_at_once_settle_it_once(sale: Sale, database_url: str) -> None:
    orders = [await sale.unanswered(CAPTURED, one_step=True) for _ in range(3)]
    async with open_marketplace(database_url, sale.market.provider) as other:
        await asyncio.gather(*(market.recovery().run_once() for market in (sale.market, other) for _ in range(3)))
    assert [await sale.status(order) for order in orders] == ["paid"] * 3
    assert await sale.units() == (2, 0, 3)


async def test_a_refund_without_an_answer_is_asked_for_until_it_is_confirmed(sale: Sale) -> None:
    market, provider = sale.market, sale.market.provider
    order = await market.bought(sale.buyer, sale.drop, quantity=2)
    provider.down = True
    for _ in range(2):
        answer = shown(await market.post(f"/orders/{order['id']}/refund", by=sale.creator), 200)
        assert answer["status"] == "paid"
    payment = shown(await market.get(f"/payments/{order['payment_id']}", by=sale.buyer), 200)
    assert payment["status"] == "refund_pending"
    async with market.unchanged():
        await sale.recovered()
    assert await sale.units() == (3, 0, 2)

    provider.down = False
    await sale.recovered()
    assert await sale.status(order) == "refunded"
    assert await sale.units() == (5, 0, 0)
    assert await market.recovery().run_once() == 0


async def test_refunded_twice_or_at_once_the_money_and_the_units_come_back_once(sale: Sale) -> None:
    market = sale.market
    order = await market.bought(sale.buyer, sale.drop, quantity=2)
    path = f"/orders/{order['id']}/refund"
    worker = asyncio.create_task(market.recovery().run_once())
    answers = await asyncio.gather(*(market.post(path, by=sale.creator) for _ in range(5)))
    await worker
    assert {shown(answer, 200)["status"] for answer in answers} == {"refunded"}
    async with market.unchanged():
        assert shown(await market.post(path, by=sale.creator), 200)["status"] == "refunded"
        assert shown(await market.put(f"/orders/{order['id']}/cancel", by=sale.creator), 200)["status"] == "refunded"
    assert [status for _, status in await market.payments(order)] == ["refunded"]
    assert await sale.units() == (5, 0, 0)


async def test_cancelled_by_its_creator_while_it_is_paid_the_money_goes_back_when_it_comes(sale: Sale) -> None:
    market = sale.market
    order = await sale.unanswered(CAPTURED, one_step=True)
    cancel = f"/orders/{order['id']}/cancel"
    assert refused(await market.put(cancel, by=sale.buyer)) == (409, "payment_in_progress")
    assert shown(await market.put(cancel, by=sale.creator), 200)["status"] == "paying"
    await sale.recovered()
    assert [status for _, status in await market.payments(order)] == ["refund_pending"]
    await sale.recovered()
    assert await sale.status(order) == "refunded"
    assert await sale.units() == (5, 0, 0)


async def test_cancelled_by_its_creator_while_it_is_declined_it_is_over(sale: Sale) -> None:
    market = sale.market
    order = await sale.unanswered(DECLINED, one_step=False)
    assert shown(await market.put(f"/orders/{order['id']}/cancel", by=sale.creator), 200)["status"] == "paying"
    await sale.recovered()
    assert await sale.status(order) == "cancelled"
    assert await sale.units() == (5, 0, 0)
