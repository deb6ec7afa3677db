"""Every published fact, one type each. Consumers import this module, never a producer. Facts hold no secrets.

A drop's facts bear the drop's own `seq`, gapless and in commit order; they lie in `facts`, one row per drop and
batch. The others lie in `subject_facts`, under the creator or user that they are about.
"""

from __future__ import annotations

from uuid import UUID

import msgspec


class Fact(msgspec.Struct, kw_only=True, tag_field="type"):
    """Something that happened and was committed."""


class AccountRegistered(Fact, tag="account.registered"):
    user_id: UUID
    name: str


class AccountUpdated(Fact, tag="account.updated"):
    user_id: UUID
    name: str


class CreatorRegistered(Fact, tag="creator.registered"):
    creator_id: UUID
    handle: str
    display_name: str


class ProductCreated(Fact, tag="product.created"):
    product_id: UUID
    creator_id: UUID
    title: str


class ProductUpdated(Fact, tag="product.updated"):
    product_id: UUID
    creator_id: UUID
    title: str


class ProductArchived(Fact, tag="product.archived"):
    product_id: UUID
    creator_id: UUID


class DropFact(Fact):
    """A fact of one drop; `id` is unique for ever, `seq` counts the drop's facts from 1 without a gap."""

    id: UUID
    seq: int


class DropScheduled(DropFact, tag="drop.scheduled"):
    """Said when a drop is published, not when a draft is saved."""

    title: str
    starts_at: str
    ends_at: str | None


class DropUpdated(DropFact, tag="drop.updated"):
    title: str
    starts_at: str
    ends_at: str | None


class DropCancelled(DropFact, tag="drop.cancelled"):
    pass


class LotStock(msgspec.Struct):
    variant_id: UUID
    available: int
    reserved: int
    sold: int
    total: int


class StockChanged(DropFact, tag="stock.changed"):
    """The drop's stock after a batch: absolute figures, so that the latest one is enough."""

    version: int
    lots: list[LotStock]


class StockLow(DropFact, tag="stock.low"):
    available: int


class DropSoldOut(DropFact, tag="drop.sold_out"):
    pass


class OrderFact(DropFact):
    """A fact of one order, for its buyer and its creator only."""

    order_id: UUID
    user_id: UUID
    variant_id: UUID
    quantity: int


class OrderReserved(OrderFact, tag="order.reserved"):
    pass


class OrderPaid(OrderFact, tag="order.paid"):
    pass


class OrderFailed(OrderFact, tag="order.failed"):
    pass


class OrderExpired(OrderFact, tag="order.expired"):
    pass


class OrderCancelled(OrderFact, tag="order.cancelled"):
    pass


class OrderRefunded(OrderFact, tag="order.refunded"):
    pass
