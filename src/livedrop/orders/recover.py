"""Recovering: payments whose outcome nobody heard are asked for; refunds are asked until confirmed."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

import structlog

from livedrop.kit.database import Database
from livedrop.orders import store
from livedrop.orders.cashier import Cashier, charge_of
from livedrop.orders.store import OpenPayment
from livedrop.payments import (
    CHARGE_TIMEOUT_SECONDS,
    Captured,
    Declined,
    NoAnswer,
    Outcome,
    Pending,
    Refunded,
    Unknown,
    Voided,
)
from livedrop.stock import Payment, PaymentNames, Restock, Return, Sell

log = structlog.get_logger("livedrop.recovery")

# A charge that is still being asked by its own request is left alone.
QUIET_SECONDS = CHARGE_TIMEOUT_SECONDS + 1
# After this long without an outcome the attempt is called off at the provider.
VOID_AFTER_SECONDS = 600.0
FOUND_AT_ONCE_MAX = 500
ASKED_AT_ONCE_MAX = 16
WAIT_SECONDS_MAX = 60.0


class Recovery:
    """Finishes payments that a crash, a timeout or a silent provider left open.

    `quiet_seconds` and `void_after_seconds` are the two waits above. A payment that stays open is asked again
    after 1, 2, 4 … 60 s.
    """

    def __init__(
        self,
        database: Database,
        cashier: Cashier,
        *,
        quiet_seconds: float = QUIET_SECONDS,
        void_after_seconds: float = VOID_AFTER_SECONDS,
    ) -> None:
        self._database = database
        self._cashier = cashier
        self._quiet_seconds = quiet_seconds
        self._void_after_seconds = void_after_seconds
        self._waits: dict[UUID, tuple[float, float]] = {}  # payment → (ask again at, wait)

    async def run_once(self) -> int:
        """Asks for every open payment that is due; how many there were. None while the provider is down."""
        if self._cashier.provider.known_down:
            return 0
        now = time.monotonic()
        waiting = [payment_id for payment_id, (at, _) in self._waits.items() if at > now]
        found = await store.open_payments(self._database, self._quiet_seconds, FOUND_AT_ONCE_MAX, waiting)
        self._forget_finished(found, waiting)
        asking = asyncio.Semaphore(ASKED_AT_ONCE_MAX)

        async def one(open_payment: OpenPayment) -> None:
            async with asking:
                await self._finish(open_payment)

        results = await asyncio.gather(*(one(each) for each in found), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, NoAnswer):
                log.warning("recovery_failed", error=repr(result))
        return len(found)

    async def _finish(self, found: OpenPayment) -> None:
        self._wait_longer(found.payment.id)
        payment = found.payment
        if payment.status == "refund_pending":
            await self._cashier.refund(payment)
        elif found.superseded:
            await self._call_off(payment)
        else:
            await self._settle(payment, await self._outcome(found))

    async def _outcome(self, found: OpenPayment) -> Outcome:
        provider, payment = self._cashier.provider, found.payment
        outcome = await provider.look_up(payment.id)
        if isinstance(outcome, Pending | Unknown) and found.age_seconds >= self._void_after_seconds:
            return await provider.void(payment.id)
        if isinstance(outcome, Unknown) and found.unwanted:
            return await provider.void(payment.id)  # nobody is charged now for what would be refunded at once
        if isinstance(outcome, Unknown):
            # The charge never arrived, and the buyer waits for it: its id lets us ask again without charging twice.
            return await provider.charge(charge_of(payment))
        return outcome

    async def _settle(self, payment: Payment, outcome: Outcome) -> None:
        names = PaymentNames(drop_id=payment.drop_id, order_id=payment.order_id, payment_id=payment.id)
        till = self._cashier.till
        match outcome:
            case Captured():
                await till.settle(Sell(**names))
            case Declined(reason):
                await till.settle(Return(**names, reason=reason))
            case Voided():
                await till.settle(Return(**names, reason="voided", voided=True))
            case Refunded():
                await till.settle(Sell(**names))
                await till.settle(Restock(**names))
            case Pending() | Unknown():
                pass  # the units stay held until the provider knows

    async def _call_off(self, payment: Payment) -> None:
        """Another payment paid the order: this one's money, if any was taken, goes straight back."""
        if isinstance(await self._cashier.provider.void(payment.id), Captured):
            await self._cashier.provider.refund(payment.id)
        await self._cashier.till.settle(
            Return(
                drop_id=payment.drop_id,
                order_id=payment.order_id,
                payment_id=payment.id,
                reason="superseded",
                voided=True,
            )
        )

    def _wait_longer(self, payment_id: UUID) -> None:
        _, wait = self._waits.get(payment_id, (0.0, 0.5))
        wait = min(wait * 2, WAIT_SECONDS_MAX)
        self._waits[payment_id] = (time.monotonic() + wait, wait)

    def _forget_finished(self, found: list[OpenPayment], waiting: list[UUID]) -> None:
        still_open = {each.payment.id for each in found}.union(waiting)
        for payment_id in [each for each in self._waits if each not in still_open]:
            del self._waits[payment_id]
