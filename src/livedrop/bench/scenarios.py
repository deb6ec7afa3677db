"""The loads that are measured: what the till does, beside what it is compared with."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

import msgspec

from livedrop.bench.measure import (
    API,
    Figure,
    again,
    closed_loop,
    median_of,
    orders,
    paced,
    ready_made,
)
from livedrop.bench.stage import Buyer, Stage, served
from livedrop.bench.stored import store_orders
from livedrop.crowd.load import Shot

PAID = {"payment_method": "pm_card_ok"}


class Plan(msgspec.Struct, frozen=True):
    """How much is measured; `quick` is for trying the benchmark itself."""

    repeats: int = 3
    seconds: float = 5.0
    buyers: int = 4_000
    drops: int = 1_000
    stored_orders: int = 1_000_000
    stored_buyers: int = 10_000
    one_by_one_connections: tuple[int, ...] = (8, 16, 32)
    paced_seconds: float = 15.0
    paid_per_second: float = 500
    reads_per_second: float = 1_500


QUICK = Plan(
    repeats=1,
    seconds=1.5,
    buyers=1_000,
    drops=100,
    stored_orders=20_000,
    stored_buyers=2_000,
    one_by_one_connections=(16,),
    paced_seconds=3.0,
)


Load = Callable[[], Awaitable[Figure]]
"""Measures a load once; what it needs was made beforehand."""


async def in_turns(plan: Plan, loads: Mapping[str, Load]) -> dict[str, Figure]:
    """Measures loads that are compared with each other turn after turn, so that a machine that gets faster or slower
    in the meantime does so for all of them; each with its median and all its repeats.
    """
    figures: dict[str, list[Figure]] = {name: [] for name in loads}
    for _ in range(plan.repeats):
        for name, load in loads.items():
            figures[name].append(await load())
    return {name: median_of(measured) for name, measured in figures.items()}


def noop(stage: Stage, plan: Plan, method: str) -> Load:
    """The floor: a hot route that does nothing."""
    body = {"drop_id": "0" * 36, "quantity": 1} if method == "POST" else None
    request = stage.api.target.request(method, f"{API}/noop", body=body)
    return lambda: closed_loop(stage, f"no-op {method}", again(request), seconds=plan.seconds, expect=200)


def reserves(stage: Stage, plan: Plan, buyers: Sequence[Buyer]) -> Load:
    """One hot drop, thousands of buyers, a new drop and new keys each time."""

    async def load() -> Figure:
        return await _reserves(stage, plan, buyers, "reserves, one hot drop", [await stage.drop()])

    return load


def reserves_one_by_one(stage: Stage, plan: Plan, buyers: Sequence[Buyer]) -> Load:
    """The same rules and statements with a transaction for each order: the best number of connections."""

    async def load() -> Figure:
        measured = [await with_connections(connections) for connections in plan.one_by_one_connections]
        return max(measured, key=lambda figure: figure.rate)

    async def with_connections(connections: int) -> Figure:
        command = ["-m", "livedrop.bench.one_by_one"]
        async with served(stage.settings, command, positional=[str(connections)]) as server:
            body = {"drop_id": str(await stage.drop()), "quantity": 1}
            return await closed_loop(
                stage,
                "reserves, one transaction each",
                orders(server.target, buyers, [body], "one"),
                seconds=plan.seconds,
                expect=201,
                server=server,
            )

    return load


async def reserves_spread(stage: Stage, plan: Plan, buyers: Sequence[Buyer]) -> Load:
    """The same crowd over many drops."""
    drop_ids = [await stage.drop() for _ in range(plan.drops)]
    return lambda: _reserves(stage, plan, buyers, f"reserves, {plan.drops:,} drops", drop_ids)


async def reserves_stored(stage: Stage, plan: Plan, buyers: Sequence[Buyer]) -> Load:
    """The same on a drop that has a million orders already."""
    drop_id = await stage.drop()
    await store_orders(stage.database, drop_id, orders=plan.stored_orders, buyers=plan.stored_buyers)
    name = f"reserves, {plan.stored_orders:,} orders stored"
    return lambda: _reserves(stage, plan, buyers, name, [drop_id])


def paid(stage: Stage, plan: Plan, buyers: Sequence[Buyer]) -> Load:
    """Reserve, charge at the provider's own process, sell: one request each."""

    async def load() -> Figure:
        body = {"drop_id": str(await stage.drop()), "quantity": 1, **PAID}
        shots = orders(stage.api.target, buyers, [body], "paid")
        return await closed_loop(stage, "paid orders", shots, seconds=plan.seconds, expect=201)

    return load


async def sold_out(stage: Stage, plan: Plan, buyers: Sequence[Buyer]) -> Load:
    """What the late get: nothing is left."""
    body = {"drop_id": str(await stage.drop(stock=10)), "quantity": 1}
    first = ready_made(orders(stage.api.target, buyers, [body], "first"), 10)
    await closed_loop(stage, "", first, seconds=10, expect=201, connections=10)

    async def load() -> Figure:
        shots = orders(stage.api.target, buyers[10:], [body], f"late-{next(_runs)}")
        return await closed_loop(stage, "sold-out refusals", shots, seconds=plan.seconds, expect=409)

    return load


async def reads(stage: Stage, plan: Plan) -> Load:
    """The drop page."""
    request = stage.api.target.request("GET", f"{API}/drops/{await stage.drop()}")
    return lambda: closed_loop(stage, "drop page reads", again(request), seconds=plan.seconds, expect=200)


async def paced_mix(stage: Stage, plan: Plan, buyers: Sequence[Buyer]) -> tuple[Figure, Figure]:
    """Paid orders and page reads at a steady pace, side by side."""
    drop_id = str(await stage.drop())
    body = {"drop_id": drop_id, "quantity": 1, **PAID}
    order_shots = ready_made(
        orders(stage.api.target, buyers, [body], "paced"),
        int(plan.paid_per_second * plan.paced_seconds),
    )
    read = stage.api.target.request("GET", f"{API}/drops/{drop_id}")
    read_shots = [Shot(read) for _ in range(int(plan.reads_per_second * plan.paced_seconds))]
    placed, seen = await asyncio.gather(
        paced(
            stage,
            f"paced: {plan.paid_per_second:.0f} paid orders/s",
            order_shots,
            per_second=plan.paid_per_second,
            expect=201,
            connections=128,
        ),
        paced(
            stage,
            f"paced: {plan.reads_per_second:.0f} reads/s",
            read_shots,
            per_second=plan.reads_per_second,
            expect=200,
            connections=64,
        ),
    )
    # Both were measured at once, so neither has CPU time of its own.
    return msgspec.structs.replace(placed, cpu_us={}), msgspec.structs.replace(seen, cpu_us={})


_runs = itertools.count()


async def _reserves(stage: Stage, plan: Plan, buyers: Sequence[Buyer], name: str, drop_ids: Sequence[UUID]) -> Figure:
    bodies = [{"drop_id": str(drop_id), "quantity": 1} for drop_id in drop_ids]
    shots = orders(stage.api.target, buyers, bodies, f"run-{next(_runs)}")
    return await closed_loop(stage, name, shots, seconds=plan.seconds, expect=201)
