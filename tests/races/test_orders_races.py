"""Two hands on one order, through two API processes' applications: one of them wins, and the books stay right."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from itertools import cycle

import httpx
import pytest

from doubles import NextCharge, ScriptedProvider
from livedrop.orders import wind_up_cancelled
from livedrop.payments import Captured, Declined, Refunded
from marketplace import Json, Marketplace, Person, open_marketplace, refused, shown
from running_sandbox import eventually

ROUNDS = 20


class Two:
    """Two applications over one database and one provider, a creator, and a drop with plenty of units."""

    def __init__(self, here: Marketplace, there: Marketplace, creator: Person, drop: Json) -> None:
        self.here = here
        self.there = there
        self.both = (here, there)
        self.creator = creator
        self.drop = drop

    @property
    def provider(self) -> ScriptedProvider:
        return self.here.provider


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[Two]:
    async with open_marketplace(database_url) as here, open_marketplace(database_url, here.provider) as there:
        creator = await here.creator()
        yield Two(here, there, creator, await here.drop(creator, variants=2, stock=1_000))
        assert await here.breaches() == []


def _codes(answers: list[httpx.Response]) -> Counter[str]:
    return Counter(str(answer.status_code) if answer.status_code < 400 else refused(answer)[1] for answer in answers)


async def _held(two: Two) -> tuple[Person, Json]:
    buyer = await two.here.person()
    return buyer, await two.here.reserved(buyer, two.drop, variant_id=two.drop["lots"][0]["variant_id"])


async def test_a_limit_raced_through_two_variants_and_two_processes_holds(two: Two) -> None:
    drop = await two.here.drop(two.creator, variants=2, stock=1_000, per_customer_limit=3)
    variants = [lot["variant_id"] for lot in drop["lots"]]
    ways = cycle([(market, variant) for market in two.both for variant in variants])
    for buyer in [await two.here.person() for _ in range(10)]:
        tries = []
        for number, (market, variant) in zip(range(24), ways, strict=False):
            details: Json = {"payment_method": "pm_card_ok"} if number % 3 == 0 else {}
            tries.append(market.order(buyer, drop, variant_id=variant, quantity=1 + number % 2, **details))
        answers = await asyncio.gather(*tries)
        had = sum(answer.json()["quantity"] for answer in answers if answer.status_code == 201)
        assert 2 <= had <= 3
        assert set(_codes(answers)) == {"201", "limit_reached"}
        assert refused(await two.here.order(buyer, drop, variant_id=variants[0], quantity=2)) == (
            409,
            "limit_reached",
        )


async def test_cancelling_races_paying(two: Two) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(ROUNDS):
        buyer, order = await _held(two)
        pay, cancel = two.both if number % 2 else reversed(two.both)
        tries = [pay.pay(buyer, order), cancel.delete(f"/reservations/{order['id']}", by=buyer)]
        paid, cancelled = await asyncio.gather(*(tries if number % 4 < 2 else reversed(tries)))
        if number % 4 >= 2:
            paid, cancelled = cancelled, paid
        status = await two.here.status(order, buyer)
        outcomes[status] += 1
        if status == "paid":
            assert paid.status_code == 201
            assert refused(cancelled)[1] in ("payment_in_progress", "already_paid")
        else:
            assert (status, cancelled.status_code, refused(paid)) == ("cancelled", 200, (409, "order_closed"))
    assert len(two.provider.charges) == outcomes["paid"]
    assert await two.here.units(two.drop) == (2_000 - outcomes["paid"], 0, outcomes["paid"])


async def test_a_creators_cancelling_races_paying(two: Two) -> None:
    """Cancelled before it is paid, or paid and refunded: in the end nothing is sold."""
    for _ in range(ROUNDS):
        buyer, order = await _held(two)
        paid, cancelled = await asyncio.gather(
            two.here.pay(buyer, order), two.there.put(f"/orders/{order['id']}/cancel", by=two.creator)
        )
        assert paid.status_code in (201, 409)
        shown(cancelled, 200)

        async def is_over(order: Json = order, buyer: Person = buyer) -> bool:
            await two.here.recovery().run_once()
            return await two.here.status(order, buyer) in ("cancelled", "refunded")

        await eventually(is_over)
    assert await two.here.units(two.drop) == (2_000, 0, 0)
    assert set(two.provider.outcomes.values()) <= {Refunded()}


async def test_expiring_races_paying(two: Two) -> None:
    outcomes: Counter[str] = Counter()
    for number in range(ROUNDS):
        buyer, order = await _held(two)
        # Some holds have ended, the others end while it is paid.
        await two.here.database.fetchval(
            "UPDATE orders SET hold_expires_at = clock_timestamp() + make_interval(secs => $2) WHERE id = $1::uuid",
            order["id"],
            (number - 5) * 0.001,
        )

        async def expire(order: Json = order, buyer: Person = buyer) -> None:
            while await two.there.status(order, buyer) == "reserved":
                await two.there.expire()

        paid, _ = await asyncio.gather(two.here.pay(buyer, order), expire())
        status = await two.here.status(order, buyer)
        outcomes[status] += 1
        if status == "paid":
            assert paid.status_code == 201
        else:
            assert (status, refused(paid)) == ("expired", (409, "hold_expired"))
    assert set(outcomes) == {"paid", "expired"}
    assert len(two.provider.charges) == outcomes["paid"]
    assert await two.here.units(two.drop) == (2_000 - outcomes["paid"], 0, outcomes["paid"])


@pytest.mark.parametrize("outcome", [Captured(), Declined("card_declined")])
async def test_webhooks_and_the_recovery_race_the_reply(two: Two, outcome: Captured | Declined) -> None:
    for number in range(ROUNDS):
        buyer, order = await _held(two)
        answered = asyncio.Event()
        two.provider.next_charges.append(NextCharge(outcome=outcome, answers_after=answered))
        paying = asyncio.create_task(two.here.pay(buyer, order, key="one"))

        def is_decided(rounds: int = number + 1) -> bool:
            return len(two.provider.outcomes) == rounds

        await eventually(is_decided)
        event = two.provider.event_of(two.provider.charges[-1].payment_id)
        hearing = [asyncio.create_task(market.webhook(event, event)) for market in two.both]
        recovering = [asyncio.create_task(market.recovery().run_once()) for market in two.both]
        answered.set()
        answer = await paying
        assert [heard.status_code for heard in await asyncio.gather(*hearing)] == [204, 204]
        await asyncio.gather(*recovering)
        status = await two.here.status(order, buyer)
        expected = (201, "paid") if outcome == Captured() else (402, "reserved")
        assert (answer.status_code, status) == expected
        assert len(await two.here.payments(order)) == 1
    sold = ROUNDS if outcome == Captured() else 0
    assert (await two.here.units(two.drop))[2] == sold


async def test_the_last_unit_goes_to_one(two: Two) -> None:
    for _ in range(ROUNDS // 2):
        drop = await two.here.drop(two.creator, stock=1)
        buyers = [await two.here.person() for _ in range(2)]
        answers = await asyncio.gather(
            *(
                market.order(buyer, drop, payment_method="pm_card_ok")
                for market in two.both
                for buyer in buyers
                for _ in range(3)
            )
        )
        assert _codes(answers) == {"201": 1, "sold_out": 11}
        assert await two.here.units(drop) == (0, 0, 1)


async def test_late_money_of_two_races_for_the_last_unit(two: Two) -> None:
    """Both orders have expired and both buyers' money came after all: one gets the unit, the other the money back."""
    for _ in range(ROUNDS // 2):
        drop = await two.here.drop(two.creator, stock=2)
        orders = []
        for _ in range(2):
            buyer = await two.here.person()
            order = await two.here.reserved(buyer, drop)
            assert refused(await two.here.pay(buyer, order, "pm_card_declined"))[0] == 402
            await two.here.end_hold(order)
            orders.append((buyer, order))
        await two.here.expire()
        await two.here.bought(await two.here.person(), drop)
        events = []
        for _, order in orders:
            ((payment_id, _),) = await two.here.payments(order)
            two.provider.outcomes[payment_id] = Captured()
            events.append(two.provider.event_of(payment_id))
        await asyncio.gather(*(market.webhook(event) for market in two.both for event in events))
        await two.there.recovery().run_once()
        assert sorted([await two.here.status(order, buyer) for buyer, order in orders]) == ["expired", "paid"]
        assert Counter(two.provider.outcomes[event.payment_id] for event in events) == {Captured(): 1, Refunded(): 1}
        assert await two.here.units(drop) == (0, 0, 2)


async def test_cancelling_a_drop_races_its_crowd(two: Two) -> None:
    drop = await two.here.drop(two.creator, stock=100)
    buyers = [await two.here.person() for _ in range(40)]
    ordering = [
        asyncio.create_task(market.order(buyer, drop, **({"payment_method": "pm_card_ok"} if number % 2 else {})))
        for number, (buyer, market) in enumerate(zip(buyers, cycle(two.both), strict=False))
    ]
    await eventually(lambda: len(two.provider.charges) > 2)
    shown(await two.there.post(f"/drops/{drop['id']}/cancel", by=two.creator), 200)
    answers = await asyncio.gather(*ordering)
    assert set(_codes(answers)) <= {"201", "drop_cancelled"}

    async def is_all_back() -> bool:
        for market in two.both:
            await wind_up_cancelled(market.database, market.wired.till)
            await market.recovery().run_once()
        return await two.here.units(drop) == (100, 0, 0)

    await eventually(is_all_back)
    assert set(two.provider.outcomes.values()) <= {Refunded()}
    orders = await two.here.database.fetch("SELECT DISTINCT status FROM orders WHERE drop_id = $1::uuid", drop["id"])
    assert {status for (status,) in orders} <= {"cancelled", "refunded"}
