"""The port to a payment provider: what LiveDrop asks of one, and what it may hear back.

The id of our payment row is the provider's idempotency key: asking twice charges once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Protocol
from uuid import UUID

import msgspec
from msgspec import Meta

from livedrop.kit.refusals import Refusal
from livedrop.web.fields import TEXT

CHARGE_TIMEOUT_SECONDS = 5.0

PaymentMethod = Annotated[str, Meta(min_length=1, max_length=100, pattern=TEXT)]
"""A payment method's name at the provider, such as `pm_card_ok`."""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be charged; `drop_id` and `order_id` come back in webhooks, so that they route to their drop."""

    payment_id: UUID
    drop_id: UUID
    order_id: UUID
    amount_minor: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    currency: Annotated[str, Meta(pattern=r"^[A-Za-z]{3}$")]
    method: PaymentMethod


class Captured(msgspec.Struct, frozen=True, tag="captured"):
    """The money was taken."""


class Declined(msgspec.Struct, frozen=True, tag="declined"):
    """The money was not taken and this attempt will never take it. `reason`: `card_declined`, …"""

    reason: str


class Voided(msgspec.Struct, frozen=True, tag="voided"):
    """The attempt was called off: no money is with us, and this attempt will never take any."""


class Refunded(msgspec.Struct, frozen=True, tag="refunded"):
    """The money went back, all of it."""


class Pending(msgspec.Struct, frozen=True, tag="pending"):
    """The provider is still at it."""


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """The provider has never heard of this attempt (it may still be on its way there)."""


Outcome = Captured | Declined | Voided | Refunded | Pending | Unknown


class PaymentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook says: the outcome of one attempt. May come twice, late, or out of order."""

    payment_id: UUID
    drop_id: UUID
    order_id: UUID
    outcome: Captured | Declined | Voided | Refunded


class NoAnswer(Exception):
    """The provider did not answer in time, refused the connection, or failed: nothing is known of the outcome."""


class ProviderConflict(Exception):
    """The provider answered that this can't be asked of it: the id belongs to another charge, or there is nothing to
    refund. A mistake on our side; asking again changes nothing, `look_up` tells what is."""


class PaymentUnavailable(Refusal):
    """The payment provider can't be reached now; nothing was ordered. Try again in a moment."""

    code, status = "payment_unavailable", 503

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, retry_after_seconds=5)


class BadSignature(Refusal):
    """The webhook's signature does not fit its body."""

    code, status = "bad_signature", 400


class MalformedWebhook(Refusal):
    """The webhook is signed, but it can't be read."""

    code, status = "malformed_webhook", 400


class Provider(Protocol):
    """A payment provider. Every call to it may raise `NoAnswer`; `ProviderConflict` is a bug."""

    name: str

    @property
    def known_down(self) -> bool:
        """Whether the last calls all failed (the breaker is open): say so before anything is stored."""
        ...

    async def charge(self, charge: Charge) -> Captured | Declined:
        """Takes the money, at most once for a payment id; gives up after 5 s with `NoAnswer`."""
        ...

    async def look_up(self, payment_id: UUID) -> Outcome:
        """What became of an attempt."""
        ...

    async def void(self, payment_id: UUID) -> Voided | Captured | Declined | Refunded:
        """Calls an attempt off, also one that the provider has not heard of yet; `Captured` where it is too late."""
        ...

    async def refund(self, payment_id: UUID) -> Refunded:
        """Gives the whole amount back, once, however often it is asked."""
        ...

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> list[PaymentEvent]:
        """The events in a webhook whose signature fits; header names in lower case.

        Raises `BadSignature` (missing, forged, or more than 5 minutes old) or `MalformedWebhook`.
        """
        ...
