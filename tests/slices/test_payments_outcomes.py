"""What a payment may come to, what is answered, and that a retry is answered the same, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from uuid import UUID

import httpx
import pytest

from doubles import NextCharge
from livedrop.payments import Captured, Declined
from marketplace import Json, Marketplace, Person, is_replay, is_told_again, open_marketplace, refused, shown
from running_sandbox import eventually


class Sale:
    """A drop of five units, and a buyer."""

    def __init__(self, market: Marketplace, creator: Person, buyer: Person, drop: Json) -> None:
        self.market = market
        self.creator = creator
        self.buyer = buyer
        self.drop = drop

    async def order(self, key: str, method: str = "pm_card_ok") -> httpx.Response:
        return await self.market.order(self.buyer, self.drop, key, payment_method=method)

    async def units(self) -> tuple[int, int, int]:
        return await self.market.units(self.drop)


@pytest.fixture
async def sale(database_url: str) -> AsyncIterator[Sale]:
    async with open_marketplace(database_url) as market:
        creator = await market.creator()
        yield Sale(market, creator, await market.person(), await market.drop(creator))
        assert await market.breaches() == []


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("pm_card_declined", "card_declined"),
        ("pm_card_insufficient_funds", "insufficient_funds"),
        ("no such card", "unknown_method"),
    ],
)
async def test_declined_in_one_step_the_order_fails_and_the_units_go_back(
    sale: Sale, method: str, reason: str
) -> None:
    market = sale.market
    first = await sale.order("one", method)
    assert refused(first) == (402, "payment_declined")
    order_id = first.json()["order_id"]
    assert first.json()["reason"] == reason
    assert await market.status({"id": order_id}, sale.buyer) == "failed"
    assert await sale.units() == (5, 0, 0)
    async with market.unchanged():
        assert is_told_again(first, await sale.order("one", method))
    assert len(market.provider.charges) == 1
    assert shown(await sale.order("two"), 201)["id"] != order_id


async def test_declined_on_a_reservation_it_stays_until_its_hold_ends(sale: Sale) -> None:
    market, buyer = sale.market, sale.buyer
    order = await market.reserved(buyer, sale.drop)
    declined = await market.pay(buyer, order, "pm_card_declined", key="one")
    assert refused(declined) == (402, "payment_declined")
    now = await market.now(order, buyer)
    assert (now["status"], now["hold_expires_at"]) == ("reserved", order["hold_expires_at"])
    assert await sale.units() == (4, 1, 0)
    assert is_told_again(declined, await market.pay(buyer, order, "pm_card_declined", key="one"))
    paid = await market.pay(buyer, order, "pm_card_ok", key="two")
    assert shown(paid, 201)["status"] == "paid"
    assert is_told_again(paid, await market.pay(buyer, order, "pm_card_ok", key="two"))
    assert is_told_again(declined, await market.pay(buyer, order, "pm_card_declined", key="one"))
    assert [status for _, status in await market.payments(order)] == ["declined", "captured"]
    assert await sale.units() == (4, 0, 1)


async def test_without_an_answer_it_is_still_being_paid_and_a_retry_is_told_so_for_ever(sale: Sale) -> None:
    market, buyer = sale.market, sale.buyer
    first = await sale.order("one", "pm_card_timeout_charged")
    order = shown(first, 202)
    assert order["status"] == "paying"
    assert await sale.units() == (4, 1, 0)
    assert is_told_again(first, await sale.order("one", "pm_card_timeout_charged"))

    await market.recovery().run_once()
    assert await market.status(order, buyer) == "paid"
    assert await sale.units() == (4, 0, 1)
    assert is_told_again(first, await sale.order("one", "pm_card_timeout_charged"))

    shown(await market.post(f"/orders/{order['id']}/refund", by=sale.creator), 200)
    assert is_told_again(first, await sale.order("one", "pm_card_timeout_charged"))
    assert len(market.provider.charges) == 1


async def test_without_an_answer_to_the_payment_of_a_reservation(sale: Sale) -> None:
    market, buyer = sale.market, sale.buyer
    order = await market.reserved(buyer, sale.drop)
    path, body = f"/drops/{sale.drop['id']}/purchase", {"payment_method": "pm_card_timeout_charged"}
    first = await market.post(path, body, by=buyer, key="one")
    assert shown(first, 202)["id"] == order["id"]
    await market.recovery().run_once()
    async with market.unchanged():
        assert is_told_again(first, await market.post(path, body, by=buyer, key="one"))
        assert is_told_again(first, await market.pay(buyer, order, "pm_card_timeout_charged", key="one"))
        assert await market.status(order, buyer) == "paid"


@pytest.mark.parametrize("then", ["paid", "refunded", "cancelled", "expired"])
async def test_a_first_answer_is_told_again_whatever_became_of_the_order(sale: Sale, then: str) -> None:
    market, buyer = sale.market, sale.buyer
    drop = await market.drop(sale.creator, hold_seconds=1 if then == "expired" else 600)
    first = await market.reserve(buyer, drop, "one")
    order = shown(first, 201)
    if then in ("paid", "refunded"):
        shown(await market.pay(buyer, order), 201)
    if then == "refunded":
        shown(await market.post(f"/orders/{order['id']}/refund", by=sale.creator), 200)
    if then == "cancelled":
        shown(await market.put(f"/orders/{order['id']}/cancel", by=buyer), 200)
    if then == "expired":

        async def is_over() -> bool:
            await market.expire()
            return await market.status(order, buyer) == "expired"

        await eventually(is_over)
    async with market.unchanged():
        assert is_told_again(first, await market.reserve(buyer, drop, "one"))
        assert await market.status(order, buyer) == then


async def test_while_the_provider_is_down_nothing_is_stored_but_what_was_stored_is_told_again(sale: Sale) -> None:
    market, buyer, provider = sale.market, sale.buyer, sale.market.provider
    paid, declined = await sale.order("paid"), await sale.order("declined", "pm_card_declined")
    later = await sale.order("later", "pm_card_timeout_charged")
    order = await market.reserved(buyer, sale.drop)
    refusal = await market.pay(buyer, order, "pm_card_declined", key="pay")
    provider.known_down = provider.down = True
    async with market.unchanged():
        tries = [await sale.order("new"), await market.pay(buyer, order, key="new"), await market.pay(buyer, order)]
        for answer in tries:
            assert refused(answer) == (503, "payment_unavailable")
            assert int(answer.headers["retry-after"]) > 0
        assert is_told_again(paid, await sale.order("paid"))
        assert is_told_again(declined, await sale.order("declined", "pm_card_declined"))
        assert is_told_again(later, await sale.order("later", "pm_card_timeout_charged"))
        assert is_told_again(refusal, await market.pay(buyer, order, "pm_card_declined", key="pay"))
        assert await market.recovery().run_once() == 0
    assert shown(await market.reserve(buyer, sale.drop), 201)["status"] == "reserved"


async def test_what_costs_nothing_is_paid_without_a_charge(sale: Sale) -> None:
    market, buyer = sale.market, sale.buyer
    free = await market.drop(sale.creator, price_minor=0)
    for key, details in (("without", {}), ("with", {"payment_method": "pm_card_declined"})):
        first = await market.order(buyer, free, key, **details)
        order = shown(first, 201)
        assert (order["status"], order["total_minor"], order["payment_id"]) == ("paid", 0, None)
        assert is_told_again(first, await market.order(buyer, free, key, **details))

    held = await market.reserved(buyer, free)
    paid = await market.pay(buyer, held, key="pay")
    assert shown(paid, 201)["status"] == "paid"
    assert is_told_again(paid, await market.pay(buyer, held, key="pay"))
    assert refused(await market.pay(buyer, held)) == (409, "already_paid")

    market.provider.known_down = market.provider.down = True
    order = shown(await market.order(buyer, free, payment_method="pm_card_ok"), 201)
    shown(await market.post(f"/orders/{order['id']}/refund", by=sale.creator), 200)
    other = await market.reserved(buyer, free)
    shown(await market.pay(buyer, other, key="while it is down"), 201)
    shown(await market.post(f"/orders/{other['id']}/refund", by=sale.creator), 200)

    refund = shown(await market.post(f"/orders/{held['id']}/refund", by=sale.creator), 200)
    assert refund["status"] == "refunded"
    assert refused(await market.pay(buyer, held, key="pay")) == (409, "already_paid")
    assert await market.units(free) == (3, 0, 2)
    assert (market.provider.charges, market.provider.refunded) == ([], [])


async def test_a_retry_while_the_first_still_runs_waits_for_the_same_answer(sale: Sale) -> None:
    decided = asyncio.Event()
    sale.market.provider.next_charges.append(NextCharge(decides_after=decided))
    tries = [asyncio.create_task(sale.order("one")) for _ in range(3)]
    await eventually(lambda: len(sale.market.provider.charges) == 1)
    tries.append(asyncio.create_task(sale.order("one")))
    decided.set()
    answers = await asyncio.gather(*tries)
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert [is_replay(answer) for answer in answers].count(False) == 1
    # Who comes just when it ends may ask the provider again, for the same payment.
    assert len({charge.payment_id for charge in sale.market.provider.charges}) == 1
    assert await sale.units() == (4, 0, 1)


@pytest.mark.parametrize("outcome", [Captured(), Declined("card_declined")])
async def test_a_retry_at_another_process_is_answered_the_same(
    sale: Sale, database_url: str, outcome: Captured | Declined
) -> None:
    market = sale.market
    answered = asyncio.Event()
    market.provider.next_charges += [NextCharge(outcome=outcome, answers_after=answered), NextCharge(outcome=outcome)]
    async with open_marketplace(database_url, market.provider) as other:
        first = asyncio.create_task(sale.order("one"))
        await eventually(lambda: len(market.provider.outcomes) == 1)
        again = await other.order(sale.buyer, sale.drop, "one", payment_method="pm_card_ok")
        answered.set()
        assert is_told_again(await first, again)
    assert len({charge.payment_id for charge in market.provider.charges}) == 1
    assert await sale.units() == ((4, 0, 1) if outcome == Captured() else (5, 0, 0))


@pytest.mark.parametrize("decided", [True, False], ids=["after the charge", "before the charge"])
async def test_a_retry_after_a_crash_resumes_with_the_same_payment(
    sale: Sale, database_url: str, decided: bool
) -> None:
    """The crash comes between the charge and the settling, or between the commit and the charge."""
    provider, never = sale.market.provider, asyncio.Event()
    async with open_marketplace(database_url, provider) as crashing:
        script = NextCharge(answers_after=never) if decided else NextCharge(decides_after=never)
        provider.next_charges.append(script)
        lost = asyncio.create_task(crashing.order(sale.buyer, sale.drop, "one", payment_method="pm_card_ok"))
        await eventually(lambda: len(provider.outcomes if decided else provider.charges) == 1)
        await _crash(lost)
    assert await sale.units() == (4, 1, 0)

    first = await sale.order("one")
    again = await sale.order("one")
    assert shown(first, 201)["status"] == "paid"
    assert (first.content, is_replay(again)) == (again.content, True)
    assert {charge.payment_id for charge in provider.charges} == {UUID(first.json()["payment_id"])}
    assert [status for _, status in await sale.market.payments(first.json())] == ["captured"]
    assert await sale.units() == (4, 0, 1)


async def _crash(request: Awaitable[httpx.Response]) -> None:
    """The charge that is under way ends in mid-air, and its request with it."""
    for task in asyncio.all_tasks():
        if task.get_name() == "charge":
            task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_two_payments_of_one_reservation_at_once_take_the_money_once(sale: Sale) -> None:
    market, buyer = sale.market, sale.buyer
    order = await market.reserved(buyer, sale.drop)
    answers = await asyncio.gather(*(market.pay(buyer, order, key=f"key {number}") for number in range(10)))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (1, 9)
    assert {refused(answer)[1] for answer in answers if answer.status_code == 409} <= {
        "payment_in_progress",
        "already_paid",
    }
    assert len(market.provider.charges) == 1


async def test_a_payment_is_seen_by_its_buyer_and_its_creator(sale: Sale) -> None:
    market, buyer = sale.market, sale.buyer
    order = await market.bought(buyer, sale.drop, quantity=2)
    for person in (buyer, sale.creator):
        payment = shown(await market.get(f"/payments/{order['payment_id']}", by=person), 200)
        assert payment | {"created_at": ""} == {
            "id": order["payment_id"],
            "order_id": order["id"],
            "amount_minor": 3_000,
            "currency": "EUR",
            "method": "pm_card_ok",
            "status": "captured",
            "provider": "sandbox",
            "created_at": "",
        }
