"""Doubles of the ports, which pass the same contract tests as the real adapters (tests/contracts/)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from livedrop.payments import (
    Captured,
    Charge,
    Declined,
    NoAnswer,
    Outcome,
    PaymentEvent,
    ProviderConflict,
    Refunded,
    Unknown,
    Voided,
)
from livedrop.payments.sandbox.rules import card_of
from livedrop.payments.sandbox.wire import read_webhook, sign_webhook

SECRET = b"the double's webhook secret"


class NextCharge(msgspec.Struct, frozen=True, kw_only=True):
    """What one call of `charge` does.

    `arrives=False`: it is lost on the way, the provider never hears of it. `answers=False`: its answer is lost.
    `decides_after`, `answers_after`: it hangs there until the test sets the event.
    """

    outcome: Captured | Declined = Captured()
    arrives: bool = True
    answers: bool = True
    decides_after: asyncio.Event | None = None
    answers_after: asyncio.Event | None = None


class ScriptedProvider:
    """A `Provider` in memory. Calls are listed in `charges`, `looked_up`, `voided` and `refunded`, in order.

    The next calls of `charge` take what was put into `next_charges`, after that what the card in the method asks
    for, without its delays. `down = True`: no call is answered. `known_down` is the test's to set.
    """

    name = "sandbox"

    def __init__(self, secret: bytes = SECRET) -> None:
        self.known_down = False
        self.down = False
        self.next_charges: deque[NextCharge] = deque()
        self.charges: list[Charge] = []
        self.looked_up: list[UUID] = []
        self.voided: list[UUID] = []
        self.refunded: list[UUID] = []
        self.outcomes: dict[UUID, Captured | Declined | Voided | Refunded] = {}
        self._asked: dict[UUID, Charge] = {}
        self._secret = secret

    async def charge(self, charge: Charge) -> Captured | Declined:
        self.charges.append(charge)
        script = self._next_script(charge)
        self._answer_unless_down()
        if not script.arrives:
            raise NoAnswer("lost on the way")
        if script.decides_after is not None:
            await script.decides_after.wait()
        answer = self._decide(charge, script)
        if script.answers_after is not None:
            await script.answers_after.wait()
        if not script.answers:
            raise NoAnswer("the answer was lost")
        return answer

    async def look_up(self, payment_id: UUID) -> Outcome:
        self.looked_up.append(payment_id)
        self._answer_unless_down()
        return self.outcomes.get(payment_id, Unknown())

    async def void(self, payment_id: UUID) -> Voided | Captured | Declined | Refunded:
        self.voided.append(payment_id)
        self._answer_unless_down()
        return self.outcomes.setdefault(payment_id, Voided())

    async def refund(self, payment_id: UUID) -> Refunded:
        self.refunded.append(payment_id)
        self._answer_unless_down()
        if not isinstance(self.outcomes.get(payment_id), Captured | Refunded):
            raise ProviderConflict("nothing was captured")
        self.outcomes[payment_id] = Refunded()
        return Refunded()

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> list[PaymentEvent]:
        return read_webhook([self._secret], headers, body)

    def sign_webhook(self, events: Sequence[PaymentEvent]) -> tuple[dict[str, str], bytes]:
        """Headers and body of a webhook that says this."""
        return sign_webhook(self._secret, events)

    def event_of(self, payment_id: UUID) -> PaymentEvent:
        """What a webhook says of this payment now."""
        charge = self._asked[payment_id]
        return PaymentEvent(
            payment_id=payment_id,
            drop_id=charge.drop_id,
            order_id=charge.order_id,
            outcome=self.outcomes[payment_id],
        )

    def _next_script(self, charge: Charge) -> NextCharge:
        if self.next_charges:
            return self.next_charges.popleft()
        card = card_of(charge.method)
        is_first = charge.payment_id not in self._asked
        return NextCharge(outcome=card.outcome, answers=not is_first or card.answers in {"at_once", "slowly"})

    def _decide(self, charge: Charge, script: NextCharge) -> Captured | Declined:
        if self._asked.setdefault(charge.payment_id, charge) != charge:
            raise ProviderConflict("another charge has this id")
        match self.outcomes.setdefault(charge.payment_id, script.outcome):
            case Declined() as declined:
                return declined
            case Voided():
                return Declined("voided")
            case Captured() | Refunded():
                return Captured()

    def _answer_unless_down(self) -> None:
        if self.down:
            raise NoAnswer("the provider is down")
