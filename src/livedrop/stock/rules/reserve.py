"""Reserving: the rule that nothing is oversold."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from livedrop.events import OrderPaid, OrderReserved
from livedrop.stock.books import Books, Head, Lot, Order, Payment
from livedrop.stock.errors import (
    DropCancelled,
    DropEnded,
    DropNotFound,
    LimitReached,
    NotEnoughLeft,
    NotStarted,
    PriceChanged,
    SoldOut,
    UnknownVariant,
    VariantRequired,
)
from livedrop.stock.intents import Attempt, Reserve, Settled
from livedrop.stock.rules.facts import tell_order
from livedrop.web.keys import KeyReused


def reserve(books: Books, intent: Reserve) -> Settled:
    """Takes the units, or raises the refusal that comes first; a key that was used gets its order again."""
    past = books.keys.get((intent.drop_id, intent.user_id, intent.idempotency_key))
    if past is not None:
        return _replay(past, intent)
    head = _open_head(books, intent.drop_id)
    lot = _lot(books, intent)
    total_minor = lot.unit_price_minor * intent.quantity
    if intent.expected_total_minor is not None and intent.expected_total_minor != total_minor:
        raise PriceChanged(total_minor)
    _check_limit(books, head, intent.user_id, intent.quantity)
    if lot.available < intent.quantity:
        raise SoldOut if lot.available == 0 else NotEnoughLeft(lot.available)
    return Settled(*_take(books, head, lot, intent, total_minor))


def _replay(past: Order, intent: Reserve) -> Settled:
    if past.fingerprint != intent.fingerprint:
        raise KeyReused
    # The same order id: this very intent was settled before, and only the answer to its COMMIT was lost.
    return Settled(past, replayed=past.id != intent.order_id)


def _open_head(books: Books, drop_id: UUID) -> Head:
    head = books.heads.get(drop_id)
    if head is None or not head.published:
        raise DropNotFound
    if head.cancelled:
        raise DropCancelled
    if books.now < head.starts_at:
        raise NotStarted(head.starts_at)
    if head.ends_at is not None and books.now >= head.ends_at:
        raise DropEnded
    return head


def _lot(books: Books, intent: Reserve) -> Lot:
    lots = books.lots[intent.drop_id]
    if intent.variant_id is None:
        if len(lots) != 1:
            raise VariantRequired
        return next(iter(lots.values()))
    lot = lots.get(intent.variant_id)
    if lot is None:
        raise UnknownVariant
    return lot


def _check_limit(books: Books, head: Head, user_id: UUID, quantity: int) -> None:
    if head.per_customer_limit is None:
        return
    held = books.held.get((head.drop_id, user_id), 0)
    if held + quantity > head.per_customer_limit:
        raise LimitReached(head.per_customer_limit, held)


def _take(books: Books, head: Head, lot: Lot, intent: Reserve, total_minor: int) -> tuple[Order, Payment | None]:
    free = total_minor == 0 and intent.sell_free
    attempt = None if free else intent.attempt
    order = Order(
        id=intent.order_id,
        drop_id=head.drop_id,
        user_id=intent.user_id,
        creator_id=head.creator_id,
        product_id=head.product_id,
        variant_id=lot.variant_id,
        quantity=intent.quantity,
        unit_price_minor=lot.unit_price_minor,
        total_minor=total_minor,
        currency=lot.currency,
        hold_expires_at=books.now + timedelta(seconds=head.hold_seconds),
        one_step=free or attempt is not None,
        idempotency_key=intent.idempotency_key,
        fingerprint=intent.fingerprint,
        created_at=books.now,
        status="paid" if free else "paying" if attempt else "reserved",
        payment_id=attempt.payment_id if attempt else None,
        cancel_requested=False,
        # With a payment under way the answer is written when its outcome is known.
        answer_status=None if attempt else 201,
        answer_at=None if attempt else books.now,
        answer_payment_id=None,
        answer_reason=None,
        updated_at=books.now,
    )
    payment = add_attempt(books, order, attempt) if attempt else None
    lot.available -= intent.quantity
    if free:
        lot.sold += intent.quantity
    else:
        lot.reserved += intent.quantity
    head.orders_placed += 1
    books.change_lot(lot)
    books.new_orders.append(order)
    books.orders[order.id] = order
    books.keys[order.drop_id, order.user_id, order.idempotency_key] = order
    hold(books, order, order.quantity)
    tell_order(books, order, OrderReserved)
    if free:
        tell_order(books, order, OrderPaid)
    return order, payment


def hold(books: Books, order: Order, quantity: int) -> None:
    """Counts units for (or, negative, against) the buyer's limit, for the rest of the batch."""
    key = (order.drop_id, order.user_id)
    books.held[key] = books.held.get(key, 0) + quantity


def add_attempt(
    books: Books,
    order: Order,
    attempt: Attempt,
    idempotency_key: str | None = None,
    fingerprint: bytes | None = None,
) -> Payment:
    """Writes down a payment before the provider hears of it."""
    payment = Payment(
        id=attempt.payment_id,
        drop_id=order.drop_id,
        order_id=order.id,
        user_id=order.user_id,
        creator_id=order.creator_id,
        amount_minor=order.total_minor,
        currency=order.currency,
        method=attempt.method,
        provider=attempt.provider,
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
        created_at=books.now,
        status="initiated",
        decline_reason=None,
        answer_status=None,
        answer_at=None,
        updated_at=books.now,
    )
    books.add_payment(payment)
    return payment
