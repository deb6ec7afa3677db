"""The till's books: what a batch reads under the lock, changes in memory, and writes back."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from livedrop.events import DropFact

OrderStatus = Literal["reserved", "paying", "paid", "expired", "cancelled", "failed", "refunded"]
PaymentStatus = Literal["initiated", "captured", "declined", "voided", "refund_pending", "refunded"]

HOLDING = frozenset({"reserved", "paying", "paid"})
"""The statuses in which an order has units: they count against the buyer's limit."""

CAPTURED = frozenset({"captured", "refund_pending", "refunded"})
"""The statuses of a payment whose money was taken: at most one payment of an order has one."""


class Head(msgspec.Struct):
    """A drop's settings and counters: the one row whose lock serialises the drop."""

    drop_id: UUID
    creator_id: UUID
    product_id: UUID
    title: str
    published: bool
    starts_at: datetime
    ends_at: datetime | None
    cancelled: bool
    per_customer_limit: int | None
    hold_seconds: int
    low_stock_threshold: int
    seq: int
    version: int
    orders_placed: int


class Lot(msgspec.Struct):
    """The units of one variant in one drop: available + reserved + sold = total, always."""

    drop_id: UUID
    variant_id: UUID
    position: int
    sku: str
    name: str
    unit_price_minor: int
    currency: str
    total: int
    available: int
    reserved: int
    sold: int


class Order(msgspec.Struct):
    """One buyer's units of one lot. Everything above `status` never changes.

    `answer_*` is what was answered to the request that made it, written once: a retry gets it again.
    `one_step`: ordered and paid by one request, so a declined payment ends it.
    `cancel_requested`: the creator cancelled while a payment was in flight; money that arrives goes back.
    """

    id: UUID
    drop_id: UUID
    user_id: UUID
    creator_id: UUID
    product_id: UUID
    variant_id: UUID
    quantity: int
    unit_price_minor: int
    total_minor: int
    currency: str
    hold_expires_at: datetime
    one_step: bool
    idempotency_key: str
    fingerprint: bytes
    created_at: datetime
    status: OrderStatus
    payment_id: UUID | None
    cancel_requested: bool
    answer_status: int | None
    answer_at: datetime | None
    answer_payment_id: UUID | None
    answer_reason: str | None
    updated_at: datetime


class Payment(msgspec.Struct):
    """One attempt to pay an order; its id is the provider's idempotency key."""

    id: UUID
    drop_id: UUID
    order_id: UUID
    user_id: UUID
    creator_id: UUID
    amount_minor: int
    currency: str
    method: str
    provider: str
    idempotency_key: str | None
    fingerprint: bytes | None
    created_at: datetime
    status: PaymentStatus
    decline_reason: str | None
    answer_status: int | None
    answer_at: datetime | None
    updated_at: datetime


Key = tuple[UUID, UUID, str]
"""drop, buyer, idempotency key"""


class Books:
    """One batch's view of its drops, read after their heads were locked, and what the rules changed in it."""

    def __init__(
        self,
        now: datetime,
        heads: list[Head],
        lots: list[Lot],
        orders: list[Order],
        held: list[tuple[UUID, UUID, int]],
        payments: list[Payment],
    ) -> None:
        self.now = now
        self.heads = {head.drop_id: head for head in heads}
        self.lots: dict[UUID, dict[UUID, Lot]] = {drop_id: {} for drop_id in self.heads}
        for lot in lots:
            self.lots[lot.drop_id][lot.variant_id] = lot
        self.orders = {order.id: order for order in orders}
        self.keys: dict[Key, Order] = {
            (order.drop_id, order.user_id, order.idempotency_key): order for order in orders
        }
        self.held = {(drop_id, user_id): quantity for drop_id, user_id, quantity in held}
        self.payments: dict[UUID, list[Payment]] = {}  # by order
        for payment in payments:
            self.payments.setdefault(payment.order_id, []).append(payment)
        self.available_before = {drop_id: self.available(drop_id) for drop_id in self.heads}

        self.new_orders: list[Order] = []
        self.changed_orders: dict[UUID, Order] = {}
        self.new_payments: dict[UUID, Payment] = {}
        self.changed_payments: dict[UUID, Payment] = {}
        self.changed_lots: dict[tuple[UUID, UUID], Lot] = {}
        self.changed_heads: dict[UUID, Head] = {}
        self.facts: dict[UUID, list[DropFact]] = {}

    @property
    def changed(self) -> bool:
        return bool(
            self.changed_heads or self.changed_orders or self.changed_payments or self.new_orders or self.new_payments
        )

    def available(self, drop_id: UUID) -> int:
        return sum(lot.available for lot in self.lots[drop_id].values())

    def capture_of(self, order: Order) -> Payment | None:
        """The payment whose money pays or paid this order."""
        for payment in self.payments.get(order.id, ()):
            if payment.status in CAPTURED:
                return payment
        return None

    def payment(self, order: Order, payment_id: UUID) -> Payment | None:
        """This payment of this order."""
        for payment in self.payments.get(order.id, ()):
            if payment.id == payment_id:
                return payment
        return None

    def add_payment(self, payment: Payment) -> None:
        self.payments.setdefault(payment.order_id, []).append(payment)
        self.new_payments[payment.id] = payment

    def change_order(self, order: Order) -> None:
        order.updated_at = self.now
        self.changed_orders[order.id] = order

    def change_payment(self, payment: Payment) -> None:
        payment.updated_at = self.now
        if payment.id not in self.new_payments:
            self.changed_payments[payment.id] = payment

    def change_lot(self, lot: Lot) -> None:
        self.changed_lots[lot.drop_id, lot.variant_id] = lot

    def change_head(self, head: Head) -> None:
        self.changed_heads[head.drop_id] = head
