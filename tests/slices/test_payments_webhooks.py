"""The sandbox's webhooks: what is committed is told, at least once, however often the listener fails."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from aiohttp import web

from livedrop.kit.database import Database
from livedrop.payments import Captured, Charge, Declined, NoAnswer, PaymentEvent, Refunded
from livedrop.payments.sandbox.wire import WEBHOOK_EVENTS_MAX, WEBHOOK_PATH, read_webhook
from running_sandbox import NOBODY, SECRET, Sandbox, a_charge, eventually, hurried


class Listener:
    """Stands for the API. Answers with `next_statuses`, then 200; but 500 to whatever holds one of `refused`."""

    def __init__(self) -> None:
        self.taken: list[PaymentEvent] = []
        self.sizes: list[int] = []
        self.failed = 0
        self.next_statuses: deque[int] = deque()
        self.refused: set[UUID] = set()
        self.url = ""

    async def hear(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        events = read_webhook([SECRET], headers, await request.read())
        self.sizes.append(len(events))
        status = self.next_statuses.popleft() if self.next_statuses else 200
        if status == 200 and self.refused.isdisjoint(event.payment_id for event in events):
            self.taken += events
            return web.Response()
        self.failed += 1
        return web.Response(status=status if status != 200 else 500)

    def outcomes_of(self, payment_id: UUID) -> list[object]:
        return [event.outcome for event in self.taken if event.payment_id == payment_id]


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    application = web.Application()
    application.router.add_post(WEBHOOK_PATH, listener.hear)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield listener
    await runner.cleanup()


@pytest.fixture
async def sandbox(database_url: str, listener: Listener) -> AsyncIterator[Sandbox]:
    async with Sandbox(database_url, api_url=listener.url) as running:
        yield running


def event_of(charge: Charge, outcome: Captured | Declined | Refunded) -> PaymentEvent:
    return PaymentEvent(
        payment_id=charge.payment_id, drop_id=charge.drop_id, order_id=charge.order_id, outcome=outcome
    )


async def undelivered(database: Database) -> int:
    count: int = await database.fetchval("SELECT count(*) FROM sandbox.events")
    return count


async def all_delivered(database: Database) -> bool:
    return await undelivered(database) == 0


async def test_every_outcome_is_told_with_its_order(sandbox: Sandbox, listener: Listener, database: Database) -> None:
    captured, declined = a_charge(), a_charge("pm_card_declined")
    await sandbox.provider.charge(captured)
    await sandbox.provider.charge(declined)
    await eventually(lambda: len(listener.taken) == 2)
    await sandbox.provider.refund(captured.payment_id)
    await eventually(lambda: len(listener.taken) == 3)
    assert Counter(listener.taken) == Counter(
        [
            event_of(captured, Captured()),
            event_of(captured, Refunded()),
            event_of(declined, Declined("card_declined")),
        ]
    )
    await eventually(lambda: all_delivered(database))


async def test_repeats_are_told_once(sandbox: Sandbox, listener: Listener, database: Database) -> None:
    charge = a_charge()
    await asyncio.gather(*[sandbox.provider.charge(charge) for _ in range(20)])
    await asyncio.gather(*[sandbox.provider.refund(charge.payment_id) for _ in range(20)])
    await eventually(lambda: all_delivered(database))
    assert len(listener.taken) == 2


async def test_the_reply_comes_before_the_webhook(database_url: str, listener: Listener) -> None:
    async with Sandbox(database_url, api_url=listener.url, delays=hurried(webhook_seconds=0.3)) as sandbox:
        await sandbox.provider.charge(a_charge())
        assert listener.taken == []
        await eventually(lambda: len(listener.taken) == 1)


async def test_a_charge_without_an_answer_is_told_after_everybody_gave_up(
    database_url: str, listener: Listener
) -> None:
    async with Sandbox(database_url, api_url=listener.url, delays=hurried(late_webhook_seconds=1)) as sandbox:
        charge = a_charge("pm_card_timeout_charged")
        with pytest.raises(NoAnswer):
            await sandbox.provider.charge(charge)
        assert listener.taken == []
        await eventually(lambda: listener.outcomes_of(charge.payment_id) == [Captured()])


async def test_a_duplicate_is_told_three_times(sandbox: Sandbox, listener: Listener, database: Database) -> None:
    charge = a_charge("pm_card_duplicate_webhooks")
    await sandbox.provider.charge(charge)
    await eventually(lambda: all_delivered(database))
    assert listener.outcomes_of(charge.payment_id) == [Captured()] * 3


async def test_a_webhook_is_tried_until_it_is_taken(sandbox: Sandbox, listener: Listener, database: Database) -> None:
    listener.next_statuses.extend([500, 503, 404, 302])
    charge = a_charge()
    await sandbox.provider.charge(charge)
    await eventually(lambda: all_delivered(database))
    assert listener.outcomes_of(charge.payment_id) == [Captured()]
    assert listener.failed == 4


async def test_what_nobody_took_is_told_after_a_restart(database_url: str, listener: Listener) -> None:
    charge = a_charge()
    async with Sandbox(database_url, api_url=NOBODY) as deaf:
        await deaf.provider.charge(charge)
    async with Sandbox(database_url, api_url=listener.url):
        await eventually(lambda: listener.outcomes_of(charge.payment_id) == [Captured()])


async def test_an_event_that_nobody_can_take_holds_up_no_other(
    sandbox: Sandbox, listener: Listener, database: Database
) -> None:
    charges = [a_charge() for _ in range(12)]
    bad = charges[5].payment_id
    listener.refused.add(bad)
    await asyncio.gather(*[sandbox.provider.charge(charge) for charge in charges])
    await eventually(
        lambda: (
            {event.payment_id for event in listener.taken}
            == {charge.payment_id for charge in charges if charge.payment_id != bad}
        )
    )
    assert await undelivered(database) == 1
    listener.refused.clear()
    await eventually(lambda: listener.outcomes_of(bad) == [Captured()])


async def test_a_crowd_is_told_in_few_bounded_webhooks(
    sandbox: Sandbox, listener: Listener, database: Database
) -> None:
    charges = [a_charge() for _ in range(500)]
    await asyncio.gather(*[sandbox.provider.charge(charge) for charge in charges])
    await eventually(lambda: all_delivered(database))
    assert Counter(event.payment_id for event in listener.taken) == Counter(charge.payment_id for charge in charges)
    assert max(listener.sizes) <= WEBHOOK_EVENTS_MAX
    assert len(listener.sizes) <= 20


async def test_an_event_of_long_ago_is_given_up(database_url: str, database: Database) -> None:
    async with Sandbox(database_url, api_url=NOBODY) as sandbox:
        charge = a_charge()
        await sandbox.provider.charge(charge)
        await database.fetch("UPDATE sandbox.events SET created_at = created_at - interval '4 days'")
        await eventually(lambda: all_delivered(database))
        assert await sandbox.provider.look_up(charge.payment_id) == Captured()


async def test_a_void_that_came_first_tells_nobody(database_url: str, database: Database) -> None:
    """Its order is not known to the provider, and whoever asked for it has the answer."""
    async with Sandbox(database_url, api_url=NOBODY) as sandbox:
        charge = a_charge()
        await sandbox.provider.void(charge.payment_id)
        await sandbox.provider.charge(charge)
        assert await undelivered(database) == 0
