"""What each card does. Pure: decides, and touches nothing."""

from __future__ import annotations

from typing import Literal

import msgspec

from livedrop.payments.provider import Captured, Charge, Declined, Refunded, Voided

Status = Literal["captured", "declined", "voided", "refunded"]


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """How long the sandbox takes its time, so that tests can hurry it.

    `slow_seconds`: until `pm_card_slow` answers. `silent_seconds`: how long a connection that gets no answer is kept;
    longer than anybody waits. `webhook_seconds`: after an ordinary charge, so that the reply usually comes first.
    `late_webhook_seconds`: after a charge without an answer; its caller has given up by then.
    """

    slow_seconds: float = 2.0
    silent_seconds: float = 15.0
    webhook_seconds: float = 1.0
    late_webhook_seconds: float = 6.0


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A card's script. What it says of answering is true of a payment's first request; repeats get the record."""

    outcome: Captured | Declined = Captured()
    answers: Literal["at_once", "slowly", "never", "with_an_error"] = "at_once"
    webhooks: int = 1


CARDS = {
    "pm_card_ok": Card(),
    "pm_card_declined": Card(outcome=Declined("card_declined")),
    "pm_card_insufficient_funds": Card(outcome=Declined("insufficient_funds")),
    "pm_card_slow": Card(answers="slowly"),
    "pm_card_timeout_charged": Card(answers="never"),
    # Decided and recorded at once, though nobody is told: whoever looks it up need not wait.
    "pm_card_timeout_not_charged": Card(outcome=Declined("timed_out"), answers="never"),
    "pm_card_duplicate_webhooks": Card(webhooks=3),
    # Charged all the same: from a 500 nobody can know, and a webhook or whoever asks again says that all is well.
    "pm_card_error": Card(answers="with_an_error"),
}
UNKNOWN_CARD = Card(outcome=Declined("unknown_method"))


def card_of(method: str) -> Card:
    return CARDS.get(method, UNKNOWN_CARD)


def webhook_delays_seconds(card: Card, delays: Delays) -> list[float]:
    """When the webhooks of a new charge are due; of several, the last one comes as late again."""
    match card.answers:
        case "never":
            first = delays.late_webhook_seconds
        case "slowly":
            first = delays.slow_seconds + delays.webhook_seconds
        case "at_once" | "with_an_error":
            first = delays.webhook_seconds
    return [first] * (card.webhooks - 1) + [first * 2 if card.webhooks > 1 else first]


class Charged(msgspec.Struct, frozen=True, kw_only=True):
    """What the sandbox recorded under a payment's id. `charge` is None where a void came first: the tombstone."""

    charge: Charge | None
    status: Status
    reason: str

    def fits(self, asked: Charge) -> bool:
        """Whether `asked` is the charge that was recorded."""
        return self.charge is None or self.charge == asked

    @property
    def answer(self) -> Captured | Declined:
        """What a charge is told, now or again: what it captured stays captured, also after a refund."""
        match self.status:
            case "captured" | "refunded":
                return Captured()
            case "declined" | "voided":
                return Declined(self.reason)


def decision_on(charge: Charge) -> Charged:
    """What is recorded for a charge that is new here."""
    match card_of(charge.method).outcome:
        case Captured():
            return Charged(charge=charge, status="captured", reason="")
        case Declined(reason):
            return Charged(charge=charge, status="declined", reason=reason)


def outcome_of(status: Status, reason: str) -> Captured | Declined | Voided | Refunded:
    match status:
        case "captured":
            return Captured()
        case "declined":
            return Declined(reason)
        case "voided":
            return Voided()
        case "refunded":
            return Refunded()
