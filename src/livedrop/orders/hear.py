"""Hearing a payment provider: what its webhooks say enters by the till, like every other outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from livedrop.kit.database import Database
from livedrop.orders import store
from livedrop.payments import Captured, Declined, PaymentEvent, Provider, Refunded, Voided
from livedrop.stock import PaymentNames, Restock, Return, Sell, Settled, Till
from livedrop.stock.errors import OrderNotFound

log = structlog.get_logger("livedrop.webhooks")


async def hear(database: Database, till: Till, provider: Provider, headers: Mapping[str, str], body: bytes) -> None:
    """Settles the events of one webhook; raises `BadSignature`. Said twice, late or out of order changes nothing."""
    events = provider.read_webhook(headers, body)
    events = await _news(database, events)
    results = await asyncio.gather(*(_settle(till, event) for event in events), return_exceptions=True)
    for event, result in zip(events, results, strict=True):
        if isinstance(result, OrderNotFound):
            # Not ours (another installation's, or older than this database): asking again would not help.
            log.warning("webhook_of_unknown_payment", payment_id=str(event.payment_id))
        elif isinstance(result, BaseException):
            raise result  # the provider says it again later


async def _news(database: Database, events: Sequence[PaymentEvent]) -> list[PaymentEvent]:
    """Drops what is known already: most webhooks come after the charge's own answer."""
    captures = [event for event in events if isinstance(event.outcome, Captured)]
    if not captures:
        return list(events)
    async with database.connection() as connection:
        known = await store.final_payments(
            connection,
            list({event.drop_id for event in captures}),
            [event.payment_id for event in captures],
        )
    return [event for event in events if event.payment_id not in known or not isinstance(event.outcome, Captured)]


async def _settle(till: Till, event: PaymentEvent) -> Settled:
    names = PaymentNames(drop_id=event.drop_id, order_id=event.order_id, payment_id=event.payment_id)
    match event.outcome:
        case Captured():
            return await till.settle(Sell(**names))
        case Declined(reason):
            return await till.settle(Return(**names, reason=reason))
        case Voided():
            return await till.settle(Return(**names, reason="voided", voided=True))
        case Refunded():
            # A refund implies the capture, which may not have been heard of yet.
            await till.settle(Sell(**names))
            return await till.settle(Restock(**names))
