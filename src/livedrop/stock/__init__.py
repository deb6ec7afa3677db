"""The till: heads, lots, orders, payment rows, and the rule that nothing is oversold.

This slice alone writes `drop_heads`, `lots`, `orders` and `payments`; all others go through what stands here.
"""

from livedrop.stock.books import CAPTURED, HOLDING, Books, Head, Lot, Order, OrderStatus, Payment, PaymentStatus
from livedrop.stock.intents import (
    AnswerLater,
    Attempt,
    BeginPayment,
    CancelDrop,
    DropSettled,
    Edit,
    PaymentNames,
    Publish,
    RefundDue,
    Release,
    Reserve,
    Restock,
    Return,
    Sell,
    Settled,
)
from livedrop.stock.open_drop import open_drop
from livedrop.stock.sold_out import SoldOutMemory
from livedrop.stock.till import Till

__all__ = [
    "CAPTURED",
    "HOLDING",
    "AnswerLater",
    "Attempt",
    "BeginPayment",
    "Books",
    "CancelDrop",
    "DropSettled",
    "Edit",
    "Head",
    "Lot",
    "Order",
    "OrderStatus",
    "Payment",
    "PaymentNames",
    "PaymentStatus",
    "Publish",
    "RefundDue",
    "Release",
    "Reserve",
    "Restock",
    "Return",
    "Sell",
    "Settled",
    "SoldOutMemory",
    "Till",
    "open_drop",
]
