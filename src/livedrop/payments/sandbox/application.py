"""The sandbox over HTTP: four calls, as a plain ASGI application.

`PUT /charges/{id}` charges, `GET` looks up, `PUT …/void` calls off, `PUT …/refund` gives back. PUT, since each may be
asked again and again; clients then repeat it by themselves when a kept connection turns out to be gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any
from uuid import UUID

import msgspec

from livedrop.kit.database import Database, is_away
from livedrop.kit.ids import parse_id
from livedrop.kit.refusals import Busy
from livedrop.payments.provider import Charge, Outcome, Unknown
from livedrop.payments.sandbox import store
from livedrop.payments.sandbox.charge import Charges, Decision, OtherCharge
from livedrop.payments.sandbox.rules import Card, Delays, card_of, outcome_of
from livedrop.payments.sandbox.wire import CHARGES_PATH

BODY_BYTES_MAX = 16 * 1024
WAITING_MAX = 1_000

log = logging.getLogger("livedrop.sandbox")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_charge_decoder = msgspec.json.Decoder(Charge)


class Problem(Exception):
    """An answer that is no outcome."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Application:
    """Decides at once and durably; only then it dawdles or keeps silent, as the card asks, holding no connection
    to the database. At most 1,000 requests wait so; one more is refused before anything is decided."""

    def __init__(self, database: Database, charges: Charges, delays: Delays, refunded: Callable[[], None]) -> None:
        self._database = database
        self._charges = charges
        self._delays = delays
        self._refunded = refunded
        self._waiting = 0
        self._stopping = asyncio.Event()

    def stop_waiting(self) -> None:
        """Ends all that waits on purpose, now and from now on: the process is stopping."""
        self._stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "the sandbox speaks HTTP only"
        try:
            status, body = 200, msgspec.json.encode(await self._outcome(scope, receive))
        except Problem as problem:
            status, body = problem.status, msgspec.json.encode({"code": problem.code})
        except ConnectionAbortedError:
            return
        except Exception as error:
            status, body = _failure(error)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(body)).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def _outcome(self, scope: Scope, receive: Receive) -> Outcome:
        path: str = scope["path"]
        if path == "/healthz":
            return Unknown()
        id_, _, action = path.removeprefix(CHARGES_PATH).partition("/")
        payment_id = parse_id(id_) if path.startswith(CHARGES_PATH) else None
        if payment_id is None:
            raise Problem(404, "not_found")
        match scope["method"], action:
            case "PUT", "":
                return await self._charge(payment_id, receive)
            case "GET", "":
                return await self._look_up(payment_id)
            case "PUT", "void":
                return await store.void(self._database, payment_id)
            case "PUT", "refund":
                return await self._refund(payment_id)
        raise Problem(405, "method_not_allowed")

    async def _charge(self, payment_id: UUID, receive: Receive) -> Outcome:
        charge = await _read_charge(receive)
        if charge.payment_id != payment_id:
            raise Problem(422, "other_id")
        card = card_of(charge.method)
        if card.answers == "at_once":
            return (await self._decide(charge)).answer
        if self._waiting >= WAITING_MAX:
            raise Problem(503, "busy")
        self._waiting += 1
        try:
            decision = await self._decide(charge)
            if decision.is_first:
                await self._misbehave(card, receive)
        finally:
            self._waiting -= 1
        return decision.answer

    async def _decide(self, charge: Charge) -> Decision:
        try:
            return await self._charges.decide(charge)
        except OtherCharge:
            raise Problem(409, "other_charge") from None

    async def _misbehave(self, card: Card, receive: Receive) -> None:
        if card.answers == "with_an_error":
            raise Problem(500, "scripted")
        if card.answers == "slowly":
            await _first_of(self._delays.slow_seconds, self._stopping.wait())
            return
        await _first_of(self._delays.silent_seconds, self._stopping.wait(), _hung_up(receive))
        raise Problem(504, "scripted")  # into the void, as a rule: the caller has hung up

    async def _look_up(self, payment_id: UUID) -> Outcome:
        async with self._database.connection() as connection:
            found = (await store.find(connection, [payment_id])).get(payment_id)
        return Unknown() if found is None else outcome_of(found.status, found.reason)

    async def _refund(self, payment_id: UUID) -> Outcome:
        recorded = await store.refund(self._database, payment_id, self._delays.webhook_seconds)
        if recorded is None:
            raise Problem(404, "unknown_charge")
        if recorded.status != "refunded":
            raise Problem(409, "not_captured")
        self._refunded()
        return outcome_of(recorded.status, recorded.reason)


async def _read_charge(receive: Receive) -> Charge:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_BYTES_MAX:
            raise Problem(413, "body_too_large")
    try:
        return _charge_decoder.decode(body)
    except msgspec.ValidationError:
        raise Problem(422, "invalid_charge") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(400, "malformed_body") from None


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _first_of(seconds_max: float, *events: Coroutine[Any, Any, object]) -> None:
    """Returns when one of `events` comes, or when the time is over."""
    waiting = [asyncio.create_task(event) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds_max, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def _failure(error: Exception) -> tuple[int, bytes]:
    if isinstance(error, Busy) or is_away(error):
        return 503, b'{"code":"busy"}'
    log.error("a request failed", exc_info=error)
    return 500, b'{"code":"internal_error"}'
