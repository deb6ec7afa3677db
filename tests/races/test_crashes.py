"""Crashes under load: processes are killed and PostgreSQL is cut off, at seeded moments, while a crowd buys.

Afterwards the books are sound, every order that was answered is there, a retry is answered the same, byte for byte,
and nobody had to lift a hand.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from api_processes import signed_in
from livedrop.kit.database import Database
from livedrop.stock.audit import audit
from marketplace import Json, Person, open_marketplace, shown
from running_livedrop import PATIENCE_SECONDS, RunningLiveDrop, running_livedrop
from running_sandbox import eventually

UNITS = 700
CRASHES = 3
WAVE = 250  # buyers: one wave for each crash, and one more
BUYING_AT_ONCE = 48
ANSWER_SECONDS = 15.0


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes


class Purchase(msgspec.Struct):
    """One buyer's order, and what it was answered first."""

    buyer: Person
    body: Json
    tries: int = 0
    answer: Answer | None = None


@pytest.fixture(scope="module")
def livedrop() -> Iterator[RunningLiveDrop]:
    with running_livedrop() as running:
        yield running


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_killed_under_load(livedrop: RunningLiveDrop, seed: int) -> None:
    chance = random.Random(seed)
    async with _opened(livedrop) as database, aiohttp.ClientSession(livedrop.url) as session:
        drop = await _drop(livedrop, stock=UNITS, per_customer_limit=1)
        purchases = [_purchase(buyer, drop, chance) for buyer in await signed_in(database, WAVE * (CRASHES + 1))]
        for crash in range(CRASHES):
            await _buy_through_a_crash(livedrop, session, purchases[crash * WAVE : (crash + 1) * WAVE], chance)
        await _buy_all(session, purchases[-WAVE:])

        assert {each.answer.status for each in purchases if each.answer} <= {201, 202, 409}
        await _all_is_stored(database, drop, purchases)
        await _all_is_told_again(session, purchases)

        async def nothing_is_being_paid() -> bool:
            paying = "SELECT count(*) FROM orders WHERE drop_id = $1::uuid AND status = 'paying'"
            return bool(await database.fetchval(paying, drop["id"]) == 0)

        await eventually(nothing_is_being_paid)
        assert [(check.name, check.offenders) for check in (await audit(database)).broken] == []


@asynccontextmanager
async def _opened(livedrop: RunningLiveDrop) -> AsyncIterator[Database]:
    database = await Database(livedrop.database_url).open()
    yield database
    await database.close()


async def _drop(livedrop: RunningLiveDrop, **details: int) -> Json:
    async with open_marketplace(livedrop.database_url) as market:
        return await market.drop(await market.creator(), **details)


def _purchase(buyer: Person, drop: Json, chance: random.Random) -> Purchase:
    body: Json = {"drop_id": drop["id"], "quantity": 1}
    if chance.random() < 0.5:
        body["payment_method"] = "pm_card_ok"
    return Purchase(buyer, body)


async def _buy_through_a_crash(
    livedrop: RunningLiveDrop, session: aiohttp.ClientSession, wave: list[Purchase], chance: random.Random
) -> None:
    """The crash comes when so many have been answered; all others are on their way or still to come."""
    answered, moment = chance.randrange(1, WAVE - BUYING_AT_ONCE), asyncio.Event()

    def count() -> None:
        if sum(each.answer is not None for each in wave) == answered:
            moment.set()

    kills_api = chance.random() < 0.5
    crash = livedrop.kill("api", moment.wait()) if kills_api else livedrop.stop_postgres_immediately(moment.wait())
    await asyncio.gather(crash, _buy_all(session, wave, count))
    assert not kills_api or any(each.tries > 1 for each in wave), "who waited for its answer had to ask again"


async def _buy_all(
    session: aiohttp.ClientSession, purchases: list[Purchase], bought: Callable[[], None] = lambda: None
) -> None:
    """Everybody tries until answered, so it ends only if the service recovers."""
    waiting = iter(purchases)

    async def buy_one_after_the_other() -> None:
        for each in waiting:
            await _buy(session, each)
            bought()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(buy_one_after_the_other() for _ in range(BUYING_AT_ONCE)))


async def _buy(session: aiohttp.ClientSession, purchase: Purchase) -> None:
    while purchase.answer is None:
        purchase.tries += 1
        answer = await _ask(session, purchase)
        if answer is None or answer.status == 503:
            await asyncio.sleep(0.05)  # as a client does; without it the crowd would only keep the machine busy
        else:
            purchase.answer = answer


async def _ask(session: aiohttp.ClientSession, purchase: Purchase) -> Answer | None:
    headers = {
        "Authorization": f"Bearer {purchase.buyer.token}",
        "Idempotency-Key": "the only one",
        "X-Request-Id": "the same",
    }
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with session.post("/api/v1/orders", json=purchase.body, headers=headers, timeout=timeout) as answer:
            return Answer(answer.status, await answer.read())
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


async def _all_is_stored(database: Database, drop: Json, purchases: list[Purchase]) -> None:
    """Who was given an order has it, who was told that nothing is left has none, and no unit is without its order."""
    rows = await database.fetch("SELECT id, user_id, status FROM orders WHERE drop_id = $1::uuid", drop["id"])
    stored = {str(row["user_id"]): str(row["id"]) for row in rows}
    given = {
        each.buyer.id: msgspec.json.decode(each.answer.body)["id"]
        for each in purchases
        if each.answer is not None and each.answer.status in (201, 202)
    }
    assert given == stored
    assert len(rows) == UNITS, "neither more nor fewer"


async def _all_is_told_again(session: aiohttp.ClientSession, purchases: list[Purchase]) -> None:
    for each in purchases:
        assert each.answer is not None
        if each.answer.status != 409:
            assert await _ask(session, each) == each.answer


async def test_killed_in_the_middle_of_a_charge(livedrop: RunningLiveDrop) -> None:
    """The provider is killed while it takes its time, the API while it waits; the money is taken once."""
    async with _opened(livedrop) as database, aiohttp.ClientSession(livedrop.url) as session:
        drop = await _drop(livedrop, stock=10)
        slow: Json = {"drop_id": drop["id"], "quantity": 1, "payment_method": "pm_card_slow"}
        purchases = [Purchase(buyer, slow) for buyer in await signed_in(database, 4)]
        buying = [asyncio.create_task(_buy(session, each)) for each in purchases]

        async def are_charged() -> bool:
            return await _captures(database, drop) == len(purchases)

        await eventually(are_charged)
        await livedrop.kill("provider")
        await livedrop.kill("api")
        await asyncio.gather(*buying)
        await _all_is_told_again(session, purchases)

        async def are_paid() -> bool:
            rows = await database.fetch("SELECT status FROM orders WHERE drop_id = $1::uuid", drop["id"])
            return [row[0] for row in rows] == ["paid"] * len(purchases)

        await eventually(are_paid)
        assert await _captures(database, drop) == len(purchases)
        assert (await audit(database)).broken == []


async def _captures(database: Database, drop: Json) -> int:
    captures: int = await database.fetchval(
        "SELECT count(*) FROM sandbox.charges WHERE drop_id = $1::uuid AND status = 'captured'", drop["id"]
    )
    return captures


async def test_a_killed_worker_is_replaced_and_catches_up(livedrop: RunningLiveDrop) -> None:
    async with _opened(livedrop) as database, open_marketplace(livedrop.database_url) as market:
        drop = await market.drop(await market.creator(), stock=3, hold_seconds=1)
        for buyer in await signed_in(database, 3):
            shown(await market.reserve(buyer, drop), 201)
        await livedrop.kill("worker")

        async def are_free_again() -> bool:
            return await market.units(drop) == (3, 0, 0)

        await eventually(are_free_again)
        assert await market.breaches() == []
