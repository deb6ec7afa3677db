"""Intents: everything that may happen to stock, an order or a payment row. The till settles them in batches."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypedDict
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from livedrop.stock.books import Head, Lot, Order, Payment


class Attempt(msgspec.Struct, frozen=True):
    """A payment that is about to be tried."""

    payment_id: UUID
    method: str
    provider: str


class PaymentNames(TypedDict):
    """Which payment of which order of which drop."""

    drop_id: UUID
    order_id: UUID
    payment_id: UUID


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """Take `quantity` units for a buyer; with an `attempt` the order goes straight into `paying`.

    `order_id` is made by the asker, so that settling twice after a lost answer finds the first settlement.
    `sell_free`: an order that costs nothing is paid at once.
    """

    order_id: UUID
    drop_id: UUID
    user_id: UUID
    variant_id: UUID | None
    quantity: int
    idempotency_key: str
    fingerprint: bytes
    expected_total_minor: int | None = None
    attempt: Attempt | None = None
    sell_free: bool = False


class BeginPayment(msgspec.Struct, frozen=True, kw_only=True):
    """Start paying a reservation: `reserved` → `paying`; the attempt is committed with it."""

    drop_id: UUID
    order_id: UUID
    user_id: UUID
    attempt: Attempt
    idempotency_key: str | None = None
    fingerprint: bytes | None = None


class Sell(msgspec.Struct, frozen=True, kw_only=True):
    """The provider took the money of this payment: `paid`, or give the money back."""

    drop_id: UUID
    order_id: UUID
    payment_id: UUID


class Return(msgspec.Struct, frozen=True, kw_only=True):
    """The provider took no money and never will: back to `reserved`, or `failed` where payment came in one step."""

    drop_id: UUID
    order_id: UUID
    payment_id: UUID
    reason: str
    voided: bool = False


class AnswerLater(msgspec.Struct, frozen=True, kw_only=True):
    """The buyer is told "202, still paying"; remembered, because a retry must be told the same."""

    drop_id: UUID
    order_id: UUID
    payment_id: UUID


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Give a reservation's units back.

    `cause`: `expired` acts only on a hold that has ended; `cancelled` is the buyer's or creator's wish (named by
    `by_user` or `by_creator`) or follows from a cancelled drop (both None).
    """

    drop_id: UUID
    order_id: UUID
    cause: Literal["expired", "cancelled"]
    by_user: UUID | None = None
    by_creator: UUID | None = None


class RefundDue(msgspec.Struct, frozen=True, kw_only=True):
    """A paid order is to be refunded: its payment becomes `refund_pending`, the provider is asked afterwards."""

    drop_id: UUID
    order_id: UUID
    by_creator: UUID | None = None


class Restock(msgspec.Struct, frozen=True, kw_only=True):
    """The provider confirmed a refund: the payment is `refunded`, a paid order's units come back."""

    drop_id: UUID
    order_id: UUID
    payment_id: UUID


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """Change a drop's settings. Before it starts all of them, afterwards only more stock and a later end.

    `totals`: new totals by variant; the key None stands for the only variant.
    """

    drop_id: UUID
    creator_id: UUID
    title: str | UnsetType = UNSET
    starts_at: datetime | UnsetType = UNSET
    ends_at: datetime | UnsetType | None = UNSET
    per_customer_limit: int | UnsetType | None = UNSET
    low_stock_threshold: int | UnsetType = UNSET
    hold_seconds: int | UnsetType = UNSET
    totals: dict[UUID | None, int] | UnsetType = UNSET


class Publish(msgspec.Struct, frozen=True, kw_only=True):
    """A draft goes public: scheduled, or live at once."""

    drop_id: UUID
    creator_id: UUID


class CancelDrop(msgspec.Struct, frozen=True, kw_only=True):
    """No more is sold; what is reserved will be released, what is paid refunded."""

    drop_id: UUID
    creator_id: UUID


OrderIntent = BeginPayment | Sell | Return | AnswerLater | Release | RefundDue | Restock
"""Intents about one existing order."""

DropIntent = Edit | Publish | CancelDrop
"""Intents about the drop itself."""

Intent = Reserve | OrderIntent | DropIntent


class Settled(msgspec.Struct, frozen=True):
    """What became of an intent about an order: the order as it stood right afterwards.

    `replayed`: the request had been settled before, under the same key; nothing was changed.
    `payment`: the payment that the intent was about.
    """

    order: Order
    payment: Payment | None = None
    replayed: bool = False


class DropSettled(msgspec.Struct, frozen=True):
    """What became of an intent about a drop."""

    head: Head
    lots: list[Lot]


Result = Settled | DropSettled
