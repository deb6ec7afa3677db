"""Charging: many charges, one commit, each decided once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from livedrop.kit.batches import Batcher
from livedrop.kit.database import Database
from livedrop.payments.provider import Captured, Charge, Declined
from livedrop.payments.sandbox import store
from livedrop.payments.sandbox.rules import Charged, Delays, decision_on

BATCH_SIZE_MAX = 256
QUEUE_MAX = 5_000


class OtherCharge(Exception):
    """The id belongs to a charge of another order, amount, currency or method."""


class Decision(msgspec.Struct, frozen=True):
    """`is_first`: this request made the record; every other one with its id is told the same."""

    answer: Captured | Declined
    is_first: bool


class Charges:
    """Decides charges, durably: `decide` returns after the commit. `decided` is called after each batch."""

    def __init__(self, database: Database, delays: Delays, decided: Callable[[], None]) -> None:
        self._database = database
        self._delays = delays
        self._decided = decided
        self._batches: Batcher[Charge, Decision] = Batcher(
            self._settle, batch_size_max=BATCH_SIZE_MAX, queue_max=QUEUE_MAX, name="sandbox-charges"
        )

    async def decide(self, charge: Charge) -> Decision:
        """Raises `OtherCharge`, or `Busy` where too many wait."""
        return await self._batches.ask(charge)

    async def _settle(self, batch: Sequence[Charge]) -> list[Decision | BaseException]:
        firsts = {charge.payment_id: charge for charge in reversed(batch)}  # of equal ids the first one counts
        proposed = {payment_id: decision_on(charge) for payment_id, charge in firsts.items()}
        async with self._database.connection() as connection:
            made = await store.decide(connection, list(proposed.values()), self._delays)
            older = await store.find(connection, proposed.keys() - made) if len(made) < len(proposed) else {}
        self._decided()
        recorded = proposed | older
        makers = {payment_id: firsts[payment_id] for payment_id in made}
        return [
            _answer(charge, recorded[charge.payment_id], is_first=charge is makers.get(charge.payment_id))
            for charge in batch
        ]


def _answer(asked: Charge, recorded: Charged, *, is_first: bool) -> Decision | BaseException:
    return Decision(recorded.answer, is_first) if recorded.fits(asked) else OtherCharge()
