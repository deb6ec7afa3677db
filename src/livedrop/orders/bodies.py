"""What requests about orders say. Unknown fields are refused, so nobody sets a price or a status by accident."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from livedrop.payments import PaymentMethod
from livedrop.web.fields import Quantity

ExpectedTotal = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class PlaceOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An order, reserved, or paid at once where a payment method comes with it."""

    drop_id: UUID
    quantity: Quantity
    variant_id: UUID | None = None
    payment_method: PaymentMethod | None = None
    expected_total_minor: ExpectedTotal | None = None


class ReserveUnits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A reservation of units of the drop in the path."""

    quantity: Quantity = 1
    variant_id: UUID | None = None


class Pay(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    payment_method: PaymentMethod


class PayOrder(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    order_id: UUID
    payment_method: PaymentMethod


class Purchase(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Pays a reservation on the drop in the path: the one named, or the oldest live one."""

    payment_method: PaymentMethod
    order_id: UUID | None = None
