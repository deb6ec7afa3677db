"""Why the till says no."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from livedrop.kit.clock import rfc3339
from livedrop.kit.refusals import NotFound, Refusal


class DropNotFound(NotFound):
    """There is no such drop."""


class OrderNotFound(NotFound):
    """There is no such order of yours."""


class NotStarted(Refusal):
    """This drop has not started yet."""

    code, status = "not_started", 409

    def __init__(self, starts_at: datetime) -> None:
        super().__init__(f"It starts at {rfc3339(starts_at)}.", starts_at=rfc3339(starts_at))


class DropEnded(Refusal):
    """This drop has ended."""

    code, status = "drop_ended", 409


class DropCancelled(Refusal):
    """This drop was cancelled."""

    code, status = "drop_cancelled", 409


class DropStarted(Refusal):
    """Once a drop has started, only a later end and more stock are possible."""

    code, status = "drop_started", 409


class SoldOut(Refusal):
    """Nothing is left of this drop."""

    code, status = "sold_out", 409

    def __init__(self) -> None:
        super().__init__("Units of unpaid reservations may come back; ask again in a while.", available=0)


class NotEnoughLeft(Refusal):
    """Fewer units are left than you want."""

    code, status = "not_enough_left", 409

    def __init__(self, available: int) -> None:
        super().__init__(f"{available} left.", available=available)


class LimitReached(Refusal):
    """This drop has a limit per customer, and this order would pass it."""

    code, status = "limit_reached", 409

    def __init__(self, limit: int, held: int) -> None:
        super().__init__(f"The limit is {limit}, and you have {held}.", limit=limit, held=held)


class PriceChanged(Refusal):
    """The total is not what you expected; look at the price again."""

    code, status = "price_changed", 409

    def __init__(self, total_minor: int) -> None:
        super().__init__(f"The total is {total_minor} in minor units.", total_minor=total_minor)


class VariantRequired(Refusal):
    """This drop has several variants; say which one."""

    code, status = "variant_required", 422


class UnknownVariant(Refusal):
    """This drop has no such variant."""

    code, status = "unknown_variant", 422


class HoldExpired(Refusal):
    """The reservation has expired; its units went back."""

    code, status = "hold_expired", 409


class AlreadyPaid(Refusal):
    """This order is paid already."""

    code, status = "already_paid", 409


class PaymentInProgress(Refusal):
    """A payment of this order is under way; wait for its outcome."""

    code, status = "payment_in_progress", 409


class OrderClosed(Refusal):
    """This order has ended and can't be changed any more."""

    code, status = "order_closed", 409

    def __init__(self, order_status: str) -> None:
        super().__init__(f"The order is {order_status}.", order_status=order_status)


class NotRefundable(Refusal):
    """Only a paid order can be refunded."""

    code, status = "not_refundable", 409

    def __init__(self, order_status: str) -> None:
        super().__init__(f"The order is {order_status}.", order_status=order_status)


class StockTaken(Refusal):
    """The stock can't go below what is reserved and sold."""

    code, status = "stock_taken", 409

    def __init__(self, variant_id: UUID, taken: int) -> None:
        super().__init__(f"{taken} of variant {variant_id} are taken.", taken=taken, variant_id=str(variant_id))


class WrongTimes(Refusal):
    """A drop must end after it starts, and in the future."""

    code, status = "wrong_times", 422

    def __init__(self, **members: Any) -> None:
        super().__init__(errors=[{"field": "ends_at", "message": "must lie after starts_at and in the future"}])
