"""Charging: the provider is asked with no transaction open, and its answer goes through the till."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from uuid import UUID

import structlog

from livedrop.payments import Captured, Charge, Declined, NoAnswer, Provider
from livedrop.stock import AnswerLater, Order, Payment, PaymentNames, Restock, Return, Sell, Settled, Till

log = structlog.get_logger("livedrop.cashier")

CHARGES_AT_ONCE_MAX = 4_096


class Cashier:
    """Takes money for orders that are `paying`, and gives it back.

    A charge goes on when its buyer hangs up; a second request for the same payment joins the first.
    """

    def __init__(self, till: Till, provider: Provider) -> None:
        self.till = till
        self.provider = provider
        self._running: dict[UUID, asyncio.Task[Settled]] = {}

    @property
    def overloaded(self) -> bool:
        """Whether so many charges are under way that a new one should not begin."""
        return len(self._running) >= CHARGES_AT_ONCE_MAX

    def charge(self, order: Order, payment: Payment) -> Awaitable[Settled]:
        """Charges this payment and settles the outcome; without one in time, the buyer is to be answered 202."""
        task = self._running.get(payment.id)
        if task is None:
            task = asyncio.create_task(self._charge(order, payment), name="charge")
            self._running[payment.id] = task
            task.add_done_callback(lambda done: self._finished(payment.id, done))
        return asyncio.shield(task)

    async def refund(self, payment: Payment) -> Settled | None:
        """Gives the money of a `refund_pending` payment back; None where the provider did not confirm it yet."""
        try:
            await self.provider.refund(payment.id)
        except NoAnswer:
            return None
        return await self.till.settle(
            Restock(drop_id=payment.drop_id, order_id=payment.order_id, payment_id=payment.id)
        )

    async def close(self) -> None:
        """Waits for the charges that are under way."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def _charge(self, order: Order, payment: Payment) -> Settled:
        names = PaymentNames(drop_id=order.drop_id, order_id=order.id, payment_id=payment.id)
        try:
            outcome = await self.provider.charge(charge_of(payment))
        except NoAnswer as error:
            log.info("charge_unanswered", payment_id=str(payment.id), error=str(error))
            return await self.till.settle(AnswerLater(**names))
        match outcome:
            case Captured():
                return await self.till.settle(Sell(**names))
            case Declined(reason):
                return await self.till.settle(Return(**names, reason=reason))

    def _finished(self, payment_id: UUID, task: asyncio.Task[Settled]) -> None:
        del self._running[payment_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            # Whoever waits sees it too; the recovery finishes the payment.
            log.warning("charge_unsettled", payment_id=str(payment_id), error=repr(error))


def charge_of(payment: Payment) -> Charge:
    """What the provider is asked for: the same for the same payment, however often it is asked."""
    return Charge(
        payment_id=payment.id,
        drop_id=payment.drop_id,
        order_id=payment.order_id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        method=payment.method,
    )
