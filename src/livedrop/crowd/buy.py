"""The crowd's story: a creator makes a drop, everybody wants it at once, and afterwards the books are compared."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from livedrop.crowd.load import Shot, Tally, Target, fire

API = "/api/v1"
CONNECTIONS = 256
SIGN_IN_CONNECTIONS = 32
RETRIED_SHARE = 0.1
PAGE = 100
SIGNING_IN = "signing in"

Progress = Callable[[str, int, int], None]
"""Told of each step: its name, how much is done, of how much."""


class CrowdFailed(Exception):
    """The crowd could not do its work; the message says at which step."""


class Order(msgspec.Struct):
    """What the crowd reads of an order."""

    id: str
    user_id: str
    quantity: int
    status: str


class Verdict(msgspec.Struct):
    """What the crowd found. Good when nothing was oversold, left over, doubled or lost."""

    drop_id: str
    buyers: int
    units: int
    sold: int
    oversold: int
    undersold: int
    duplicates: int
    lost: int
    retries: int
    retries_that_differed: int
    answers: dict[str, int]
    orders_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    took_seconds: float

    @property
    def good(self) -> bool:
        return not (self.oversold or self.undersold or self.duplicates or self.lost or self.retries_that_differed)


class Buyer(msgspec.Struct):
    token: str
    key: str
    orders: set[str]


async def buy(
    url: str, *, buyers: int, units: int, progress: Progress, payment_method: str | None = "pm_card_ok"
) -> Verdict:
    """Lets `buyers` order one of `units` each, over 256 connections; a tenth of them sends the same order again.

    The server must run in development mode (the buyers sign in by handle). Raises `CrowdFailed`.
    """
    target = Target.of(url)
    run = secrets.token_hex(4)
    creator = (await _sign_in(target, [f"crowd-{run}-creator"], progress))[0]
    drop_id = await _schedule(target, creator, run, units)
    tokens = await _sign_in(target, [f"crowd-{run}-{number}" for number in range(buyers)], progress)
    crowd = [Buyer(token, f"{run}-{number}", set()) for number, token in enumerate(tokens)]

    body = {"drop_id": drop_id, "quantity": 1}
    if payment_method is not None:
        body["payment_method"] = payment_method
    again = crowd[:: max(1, round(1 / RETRIED_SHARE))]
    # The retries go out in the same rush, some of them while the first try still runs.
    rush = [*crowd, *again]
    shots = [
        (buyer, Shot(target.request("POST", f"{API}/orders", token=buyer.token, key=buyer.key, body=body)))
        for buyer in rush
    ]
    tally = await _rush(target, [shot for _, shot in shots], progress)
    differed = _compare(shots)
    stored = await _stored_orders(target, creator, drop_id)
    return _verdict(drop_id, units, crowd, tally, shots, stored, retries=len(again), differed=differed)


async def _sign_in(target: Target, handles: list[str], progress: Progress) -> list[str]:
    shots = [Shot(target.request("POST", f"{API}/users/auth/dev", body={"handle": handle})) for handle in handles]
    done = 0

    def count(_: Shot) -> None:
        nonlocal done
        done += 1
        if done % 100 == 0 or done == len(shots):
            progress(SIGNING_IN, done, len(shots))

    await fire(target, shots, connections=min(SIGN_IN_CONNECTIONS, len(shots)), on_answer=count)
    return [str(_read(shot, SIGNING_IN, 200)["token"]) for shot in shots]


async def _schedule(target: Target, creator: str, run: str, units: int) -> str:
    async def post(path: str, body: Any) -> dict[str, Any]:
        shot = Shot(target.request("POST", API + path, token=creator, body=body))
        await fire(target, [shot], connections=1)
        return _read(shot, path, 201)

    await post("/creators", {"handle": f"crowd-{run}", "display_name": "The Crowd"})
    product = await post("/products", {"title": f"Thing {run}", "price_minor": 1999, "currency": "EUR"})
    drop = await post("/drops", {"product_id": product["id"], "starts_at": "2020-01-01T00:00:00Z", "stock": units})
    return str(drop["id"])


async def _rush(target: Target, shots: list[Shot], progress: Progress) -> Tally:
    done = 0

    def count(_: Shot) -> None:
        nonlocal done
        done += 1
        if done % 250 == 0 or done == len(shots):
            progress("ordering", done, len(shots))

    return await fire(target, shots, connections=min(CONNECTIONS, len(shots)), on_answer=count)


def _compare(shots: list[tuple[Buyer, Shot]]) -> int:
    """Notes which orders each buyer was given; how many answers differ from the one that gave the order."""
    differed = 0
    given: dict[str, bytes] = {}
    for buyer, shot in shots:
        if shot.status in (201, 202):
            buyer.orders.add(msgspec.json.decode(shot.body, type=Order).id)
            differed += given.setdefault(buyer.key, shot.body) != shot.body
    return differed + sum(400 <= shot.status < 500 for buyer, shot in shots if buyer.orders)


async def _stored_orders(target: Target, creator: str, drop_id: str) -> list[Order]:
    found: list[Order] = []
    after = ""
    while True:
        path = f"{API}/orders?drop_id={drop_id}&limit={PAGE}" + (f"&after={after}" if after else "")
        shot = Shot(target.request("GET", path, token=creator))
        await fire(target, [shot], connections=1)
        page = _read(shot, "listing the orders", 200)
        found += msgspec.convert(page["items"], list[Order])
        if page["next"] is None:
            return found
        after = page["next"]


def _verdict(
    drop_id: str,
    units: int,
    crowd: list[Buyer],
    tally: Tally,
    shots: list[tuple[Buyer, Shot]],
    stored: list[Order],
    *,
    retries: int,
    differed: int,
) -> Verdict:
    holding = [order for order in stored if order.status in ("reserved", "paying", "paid")]
    sold = sum(order.quantity for order in holding)
    per_buyer = Counter(order.user_id for order in holding)
    ids = {order.id for order in stored}
    answers: Counter[str] = Counter(_outcome(shot) for _, shot in shots)
    return Verdict(
        drop_id=drop_id,
        buyers=len(crowd),
        units=units,
        sold=sold,
        oversold=max(0, sold - units),
        undersold=max(0, min(units, len(crowd)) - sold),
        duplicates=sum(count - 1 for count in per_buyer.values()),
        lost=sum(1 for buyer in crowd for order_id in buyer.orders if order_id not in ids),
        retries=retries,
        retries_that_differed=differed,
        answers=dict(answers.most_common()),
        orders_per_second=round(tally.rate(), 1),
        p50_ms=round(tally.percentile(50) * 1000, 1),
        p95_ms=round(tally.percentile(95) * 1000, 1),
        p99_ms=round(tally.percentile(99) * 1000, 1),
        took_seconds=round(tally.took_seconds, 2),
    )


def _outcome(shot: Shot) -> str:
    if shot.status == 0:
        return "connection lost"
    decoded = msgspec.json.decode(shot.body)
    return f"{shot.status} {decoded.get('code') or decoded.get('status')}"


def _read(shot: Shot, step: str, expected: int) -> dict[str, Any]:
    if shot.status == 404 and step == SIGNING_IN:
        raise CrowdFailed("its buyers sign in by handle, which this server allows in development mode only")
    if shot.status != expected:
        raise CrowdFailed(f"{step}: {shot.status} {_said(shot.body)}")
    read: dict[str, Any] = msgspec.json.decode(shot.body)
    return read


def _said(body: bytes) -> str:
    """What a refusal says, or the beginning of what is none."""
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
        return f"{problem['code']}: {problem['detail']}"
    except (msgspec.DecodeError, KeyError):
        return body.decode(errors="replace")[:300] or "no answer"
