"""The real till on a real PostgreSQL against a simple model of it (till_model.py), driven by random intents.

Each step gives one of two tills a batch of intents at once; every answer and every row must be the model's.
`pytest tests/races/test_till_model.py --hypothesis-profile long --timeout 0` looks further.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import till_intents
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from till_model import Model

from livedrop.kit.database import Database
from livedrop.kit.refusals import Refusal
from livedrop.stock import DropSettled, Settled, Till
from livedrop.stock.intents import (
    DropIntent,
    Intent,
    Reserve,
    Result,
)
from shop import Drop, Shop, breaches

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STEPS = 40


class World:
    """What all runs share: two tills on one database, as two processes would have."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        self.runner = runner
        self.url = url

    async def open(self) -> None:
        self.database = await Database(self.url, connections_max=2).open()
        self.looking: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(self.url)
        self.shop = await Shop(self.database).open()
        self.buyers = await self.shop.buyers(3)
        self.tills = [Till(self.database), Till(self.database)]

    async def close(self) -> None:
        for till in self.tills:
            await till.close()
        await self.looking.close()
        await self.database.close()


class TillMachine(RuleBasedStateMachine):
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.model = Model(self.now)
        self.drops: list[Drop] = []
        self.batches = 0

    @initialize(data=st.data(), count=st.integers(1, 2))
    def open_drops(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            units = data.draw(till_intents.UNITS)
            starts_in, ends_in = data.draw(till_intents.STARTS), data.draw(till_intents.ENDS)
            if ends_in is not None and ends_in <= starts_in:
                ends_in = None
            price, limit = data.draw(st.sampled_from([1000, 1000, 1000, 0])), data.draw(till_intents.LIMITS)
            published = not data.draw(till_intents.SELDOM)
            made = self.world.shop.drop(
                *units,
                now=self.now,
                price_minor=price,
                limit=limit,
                starts_in=starts_in,
                ends_in=ends_in,
                published=published,
            )
            drop = self._run(made)
            self.drops.append(drop)
            self.model.drops[drop.id] = {
                "id": drop.id,
                "creator": drop.creator_id,
                "published": published,
                "cancelled": False,
                "starts_at": self.now + starts_in,
                "ends_at": None if ends_in is None else self.now + ends_in,
                "limit": limit,
                "orders_placed": 0,
                "lots": {
                    variant: {"price": price, "total": total, "available": total, "reserved": 0, "sold": 0}
                    for variant, total in zip(drop.variants, units, strict=True)
                },
            }

    @rule(data=st.data(), size=st.sampled_from([1, 2, 4, 8, 16]))
    def settle_at_once(self, data: st.DataObject, size: int) -> None:
        intents = [self._draw(data) for _ in range(size)]
        self.batches += 1
        results = self._run(_settle(self.world.tills[self.batches % 2], intents))
        expected = self.model.settle(intents)
        for intent, result, wanted in zip(intents, results, expected, strict=True):
            assert _seen(result) == wanted, intent

    @rule(data=st.data())
    def end_a_hold(self, data: st.DataObject) -> None:
        """Expired next, or paid late, or never."""
        orders = [order for order in self.model.orders.values() if order["status"] in ("reserved", "paying")]
        if orders:
            order = data.draw(st.sampled_from(orders))
            order["hold_over"] = True
            self._execute("UPDATE orders SET hold_expires_at = $2 WHERE id = $1", order["id"], self.now - HOUR)

    @precondition(lambda self: self.batches > 10)
    @rule(data=st.data(), starts=st.booleans())
    def start_or_end_a_drop(self, data: st.DataObject, starts: bool) -> None:
        drop = self.model.drops[data.draw(st.sampled_from(self.drops)).id]
        column, moment = ("starts_at", self.now - DAY) if starts else ("ends_at", self.now - HOUR)
        if starts or drop["starts_at"] < moment:
            drop[column] = moment
            self._execute(f"UPDATE drop_heads SET {column} = $2 WHERE drop_id = $1", drop["id"], moment)

    @invariant()
    def the_rows_are_the_models(self) -> None:
        assert self._run(self._rows()) == self._wanted_rows()

    def teardown(self) -> None:
        for drop in self.drops:
            assert self._run(breaches(self.world.database, drop.id)) == []

    # Intents

    def _draw(self, data: st.DataObject) -> Intent:
        drop = data.draw(st.sampled_from(self.drops))
        orders = [order for order in self.model.orders.values() if order["drop"] == drop.id]
        payments = [each for each in self.model.payments.values() if self.model.orders[each["order"]] in orders]
        return data.draw(till_intents.an_intent(self.now, self.world.buyers, drop, orders, payments))

    def _execute(self, statement: str, *arguments: Any) -> None:
        self._run(self.world.looking.execute(statement, *arguments))

    def _run(self, awaitable: Any) -> Any:
        return self.world.runner.run(awaitable)

    # Rows

    async def _rows(self) -> Any:
        drop_ids = [drop.id for drop in self.drops]
        return [[tuple(row) for row in await self.world.looking.fetch(each, drop_ids)] for each in _ROWS]

    def _wanted_rows(self) -> Any:
        model = self.model
        heads = [
            (drop["id"], drop["orders_placed"], drop["published"], drop["cancelled"]) for drop in model.drops.values()
        ]
        lots = [
            (variant, lot["total"], lot["available"], lot["reserved"], lot["sold"])
            for drop in model.drops.values()
            for variant, lot in drop["lots"].items()
        ]
        orders = [
            (each["id"], each["status"], each["payment"], each["cancel_requested"], each["answer"], each["one_step"])
            for each in model.orders.values()
        ]
        payments = [(each["id"], each["status"], each["answer"]) for each in model.payments.values()]
        return [sorted(rows) for rows in (heads, lots, orders, payments)]


_ROWS = (
    "SELECT drop_id, orders_placed, published, cancelled FROM drop_heads WHERE drop_id = ANY ($1) ORDER BY 1",
    "SELECT variant_id, total, available, reserved, sold FROM lots WHERE drop_id = ANY ($1) ORDER BY 1",
    "SELECT id, status, payment_id, cancel_requested, answer_status, one_step FROM orders"
    " WHERE drop_id = ANY ($1) ORDER BY 1",
    "SELECT id, status, answer_status FROM payments WHERE drop_id = ANY ($1) ORDER BY 1",
)


async def _settle(till: Till, intents: Sequence[Intent]) -> list[Result | BaseException]:
    futures: list[asyncio.Future[Any]] = []
    for intent in intents:
        if isinstance(intent, Reserve):
            futures.append(till.reserve(intent))
        elif isinstance(intent, DropIntent):
            futures.append(till.change(intent))
        else:
            futures.append(till.settle(intent))
    return list(await asyncio.gather(*futures, return_exceptions=True))


def _seen(result: Result | BaseException) -> Any:
    """A result in the model's words."""
    match result:
        case Refusal():
            figures = [result.members[name] for name in _FIGURES.get(result.code, ())]
            return (result.code, *figures)
        case Settled(order, payment, replayed):
            paid = None if payment is None else (payment.id, payment.status, payment.answer_status)
            return (
                order.id, order.status, order.quantity, order.total_minor, order.payment_id, order.cancel_requested,
                order.answer_status, order.answer_reason, paid, replayed,
            )  # fmt: skip
        case DropSettled(head, lots):
            figures = [(lot.total, lot.available, lot.reserved, lot.sold) for lot in lots]
            settings = (head.published, head.cancelled, head.starts_at, head.ends_at, head.per_customer_limit)
            return (*settings, tuple(figures))
    raise result


_FIGURES = {
    "limit_reached": ("limit", "held"),
    "sold_out": ("available",),
    "not_enough_left": ("available",),
    "price_changed": ("total_minor",),
    "stock_taken": ("taken",),
}


def test_the_till_does_what_the_model_does(database_url: str) -> None:
    with asyncio.Runner() as runner:
        world = World(runner, database_url)
        runner.run(world.open())
        try:
            run_state_machine_as_test(
                type("Machine", (TillMachine,), {"world": world}),
                settings=settings(stateful_step_count=STEPS, max_examples=3 * settings().max_examples // 2),
            )
        finally:
            runner.run(world.close())
