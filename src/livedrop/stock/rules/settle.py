"""A batch of intents, settled in order: what exists first, so that units given back serve the same batch."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from livedrop.kit.refusals import Refusal
from livedrop.stock.books import Books
from livedrop.stock.errors import DropNotFound, OrderNotFound
from livedrop.stock.intents import (
    AnswerLater,
    BeginPayment,
    CancelDrop,
    DropIntent,
    DropSettled,
    Edit,
    Intent,
    OrderIntent,
    Publish,
    RefundDue,
    Release,
    Reserve,
    Restock,
    Result,
    Return,
    Sell,
    Settled,
)
from livedrop.stock.rules import drop, facts, pay, refund, release, reserve


def settle(books: Books, intents: Sequence[Intent]) -> list[Result | Refusal]:
    """Decides each intent, changing `books`; a refusal changes nothing. One result for each intent, in their order.

    Intents about existing orders and about drops come first, in arrival order; then the reserves, in arrival
    order: a unit released in this batch can be reserved in it.
    """
    results: list[Result | Refusal | None] = [None] * len(intents)
    reserves: list[int] = []
    for index, intent in enumerate(intents):
        if isinstance(intent, Reserve):
            reserves.append(index)
            continue
        try:
            results[index] = _settle_one(books, intent)
        except Refusal as refusal:
            results[index] = refusal
    for index in reserves:
        intent = intents[index]
        assert isinstance(intent, Reserve)
        try:
            results[index] = reserve.reserve(books, intent)
        except Refusal as refusal:
            results[index] = refusal
    facts.tell_stock(books)
    return [result for result in results if result is not None]


def _settle_one(books: Books, intent: OrderIntent | DropIntent) -> Result:
    if isinstance(intent, DropIntent):
        return _settle_drop(books, intent)
    order = books.orders.get(intent.order_id)
    if order is None or order.drop_id != intent.drop_id:
        raise OrderNotFound
    payment = None
    match intent:
        case BeginPayment():
            payment, replayed = pay.begin(books, order, intent)
            return Settled(copy.copy(order), copy.copy(payment), replayed)
        case Sell():
            payment = pay.sell(books, order, intent.payment_id)
        case Return():
            payment = pay.give_back(books, order, intent)
        case AnswerLater():
            payment = pay.answer_later(books, order, intent.payment_id)
        case Release():
            payment = release.release(books, order, intent)
        case RefundDue():
            payment = refund.refund_due(books, order, intent)
        case Restock():
            payment = refund.restock(books, order, intent.payment_id)
    # A later intent of this batch may change the order again; this result shows it as it stands now.
    return Settled(copy.copy(order), copy.copy(payment))


def _settle_drop(books: Books, intent: DropIntent) -> DropSettled:
    head = books.heads.get(intent.drop_id)
    if head is None or head.creator_id != intent.creator_id:
        raise DropNotFound
    match intent:
        case Edit():
            drop.edit(books, head, intent)
        case Publish():
            drop.publish(books, head)
        case CancelDrop():
            drop.cancel(books, head)
    return DropSettled(copy.copy(head), [copy.copy(lot) for lot in books.lots[head.drop_id].values()])
