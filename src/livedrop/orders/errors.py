"""Why an order can't be handled."""

from __future__ import annotations

from uuid import UUID

from livedrop.kit.refusals import NotFound, Refusal


class NoSuchOrder(NotFound):
    """There is no such order of yours."""


class NoSuchPayment(NotFound):
    """There is no such payment of yours."""


class NothingReserved(Refusal):
    """You have no live reservation on this drop; reserve first."""

    code, status = "nothing_reserved", 409


class PaymentDeclined(Refusal):
    """The payment was declined; no money was taken."""

    code, status = "payment_declined", 402

    def __init__(self, order_id: UUID, reason: str, *, still_reserved: bool, replayed: bool) -> None:
        said = "Your reservation stays until its hold ends." if still_reserved else "The units went back."
        super().__init__(f"{said} Try again with a new Idempotency-Key.", reason=reason, order_id=str(order_id))
        if replayed:
            self.more_headers["Idempotent-Replayed"] = "true"
