"""What the till must do, written a second time: one intent after the other, in plain dicts, from the documents alone.

It knows nothing of batches, locks, tables or of stock/rules. Times lie far enough from `now` that it may stand still.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import UNSET

from livedrop.stock import intents as said

Row = dict[str, Any]
TOOK_MONEY = ("captured", "refund_pending", "refunded")


class No(Exception):
    """The code of the refusal, and the figures that it tells."""


class Model:
    def __init__(self, now: datetime) -> None:
        self.now = now
        self.drops: dict[UUID, Row] = {}
        self.orders: dict[UUID, Row] = {}
        self.payments: dict[UUID, Row] = {}

    def settle(self, intents: Sequence[said.Intent]) -> list[Any]:
        """What each intent of one batch is answered: first those about what exists, then the reserves."""
        answers: list[Any] = [None] * len(intents)
        for index in sorted(range(len(intents)), key=lambda index: isinstance(intents[index], said.Reserve)):
            intent = intents[index]
            try:
                answers[index] = getattr(self, f"_{type(intent).__name__.lower()}")(intent)
            except No as no:
                answers[index] = no.args
        return answers

    # What the intents do

    def _reserve(self, intent: said.Reserve) -> Any:
        drop = self.drops[intent.drop_id]
        for order in self.orders.values():
            if (order["drop"], order["user"], order["key"]) == (drop["id"], intent.user_id, intent.idempotency_key):
                self._no(order["fingerprint"] != intent.fingerprint, "idempotency_key_reused")
                return self._answer(order, None, replayed=True)
        self._no(not drop["published"], "not_found")
        self._no(drop["cancelled"], "drop_cancelled")
        self._no(drop["starts_at"] > self.now, "not_started")
        self._no(drop["ends_at"] is not None and drop["ends_at"] <= self.now, "drop_ended")
        self._no(intent.variant_id is None and len(drop["lots"]) > 1, "variant_required")
        lot = drop["lots"].get(intent.variant_id or next(iter(drop["lots"])))
        self._no(lot is None, "unknown_variant")
        total = lot["price"] * intent.quantity
        self._no(intent.expected_total_minor not in (None, total), "price_changed", total)
        held = self._held(drop, intent.user_id)
        self._no(self._passes_limit(drop, intent.user_id, intent.quantity), "limit_reached", drop["limit"], held)
        self._no(lot["available"] == 0, "sold_out", 0)
        self._no(lot["available"] < intent.quantity, "not_enough_left", lot["available"])
        free = total == 0 and intent.sell_free
        paying = intent.attempt is not None and not free
        order = self.orders[intent.order_id] = {
            "id": intent.order_id, "drop": drop["id"], "user": intent.user_id, "key": intent.idempotency_key,
            "fingerprint": intent.fingerprint, "lot": lot, "quantity": intent.quantity, "total": total,
            "status": "paid" if free else "paying" if paying else "reserved", "one_step": free or paying,
            "hold_over": False, "payment": None, "cancel_requested": False, "answer": None if paying else 201,
            "reason": None,
        }  # fmt: skip
        self._move(order, "available", "sold" if free else "reserved")
        drop["orders_placed"] += 1
        return self._answer(order, self._attempt(order, intent.attempt) if paying else None)

    def _beginpayment(self, intent: said.BeginPayment) -> Any:
        order = self._order(intent)
        self._no(order["user"] != intent.user_id, "not_found")
        for payment in self._payments(order):
            if intent.idempotency_key is not None and payment["key"] == intent.idempotency_key:
                self._no(payment["fingerprint"] != intent.fingerprint, "idempotency_key_reused")
                return self._answer(order, payment, replayed=True)
        refusals = {"paying": "payment_in_progress", "paid": "already_paid", "refunded": "already_paid"}
        refusals |= {"expired": "hold_expired", "cancelled": "order_closed", "failed": "order_closed"}
        self._no(order["status"] != "reserved", refusals.get(order["status"], ""))
        self._no(self.drops[order["drop"]]["cancelled"], "drop_cancelled")
        self._no(order["hold_over"], "hold_expired")
        if order["total"] == 0:
            self._sold(order)
            return self._answer(order, None)
        order["status"] = "paying"
        payment = self._attempt(order, intent.attempt)
        payment["key"], payment["fingerprint"] = intent.idempotency_key, intent.fingerprint
        return self._answer(order, payment)

    def _sell(self, intent: said.Sell) -> Any:
        order, payment = self._order(intent), self._payment(intent)
        drop = self.drops[order["drop"]]
        takers = [each["id"] for each in self._payments(order) if each["status"] in TOOK_MONEY]
        if takers:
            if payment["id"] not in takers and payment["status"] in ("declined", "voided"):
                payment["status"] = "initiated"
            return self._answer(order, payment)
        again = order["status"] == "expired" and not drop["cancelled"]
        again = again and order["lot"]["available"] >= order["quantity"]
        again = again and not self._passes_limit(drop, order["user"], order["quantity"])
        if order["status"] not in ("reserved", "paying") and not again:
            payment["status"] = "refund_pending"
            return self._answer(order, payment)
        if again:
            self._move(order, "available", "reserved")
        self._sold(order)
        order["payment"] = payment["id"]
        payment["status"] = "refund_pending" if drop["cancelled"] or order["cancel_requested"] else "captured"
        self._remember(order, payment, 201)
        return self._answer(order, payment)

    def _return(self, intent: said.Return) -> Any:
        order, payment = self._order(intent), self._payment(intent)
        if payment["status"] != "initiated":
            return self._answer(order, payment)
        payment["status"] = "voided" if intent.voided else "declined"
        if order["status"] == "paying" and order["payment"] == payment["id"]:
            unwanted = order["cancel_requested"] or self.drops[order["drop"]]["cancelled"]
            if order["one_step"]:
                self._ended(order, "failed")
            elif unwanted:
                self._ended(order, "cancelled")
            elif order["hold_over"]:
                self._ended(order, "expired")
            else:
                order["status"] = "reserved"
        self._remember(order, payment, 402, intent.reason)
        return self._answer(order, payment)

    def _answerlater(self, intent: said.AnswerLater) -> Any:
        order, payment = self._order(intent), self._payment(intent)
        self._remember(order, payment, 202)
        return self._answer(order, payment)

    def _release(self, intent: said.Release) -> Any:
        order = self._order(intent)
        status, drop = order["status"], self.drops[order["drop"]]
        if intent.cause == "expired":
            if status == "reserved" and order["hold_over"]:
                self._ended(order, "cancelled" if drop["cancelled"] else "expired")
            return self._answer(order, None)
        if intent.by_user is not None:
            self._no(order["user"] != intent.by_user, "not_found")
            self._no(status == "paying", "payment_in_progress")
            self._no(status == "paid", "already_paid")
            self._no(status not in ("reserved", "cancelled"), "order_closed")
        self._no(intent.by_creator not in (None, drop["creator"]), "not_found")
        self._no(intent.by_creator is not None and status in ("expired", "failed"), "order_closed")
        if status == "reserved":
            self._ended(order, "cancelled")
        if status == "paying":
            order["cancel_requested"] = True
        return self._answer(order, self._refund(order) if status == "paid" else None)

    def _refunddue(self, intent: said.RefundDue) -> Any:
        order = self._order(intent)
        self._no(intent.by_creator not in (None, self.drops[order["drop"]]["creator"]), "not_found")
        self._no(order["status"] not in ("paid", "refunded"), "not_refundable")
        return self._answer(order, self._refund(order))

    def _restock(self, intent: said.Restock) -> Any:
        order, payment = self._order(intent), self._payment(intent)
        if payment["status"] in ("captured", "refund_pending"):
            payment["status"] = "refunded"
            if order["status"] == "paid":
                self._came_back(order)
        return self._answer(order, payment)

    def _edit(self, intent: said.Edit) -> Any:
        drop = self._own_drop(intent)
        self._no(drop["cancelled"], "drop_cancelled")
        started = drop["published"] and drop["starts_at"] <= self.now
        new: Row = {
            "starts_at": intent.starts_at,
            "ends_at": intent.ends_at,
            "limit": intent.per_customer_limit,
        }
        new = {name: value for name, value in new.items() if value is not UNSET}
        if started:
            self._no(any(new.get(name, drop[name]) != drop[name] for name in ("starts_at", "limit")), "drop_started")
            self._no(drop["ends_at"] is not None and drop["ends_at"] <= self.now, "drop_ended")
            ends_at = new.get("ends_at")
            self._no(ends_at is not None and (drop["ends_at"] is None or ends_at < drop["ends_at"]), "drop_started")
        starts_at, ends_at = new.get("starts_at", drop["starts_at"]), new.get("ends_at", drop["ends_at"])
        self._no(ends_at is not None and ends_at <= starts_at, "wrong_times")
        self._no("ends_at" in new and ends_at is not None and ends_at <= self.now, "wrong_times")
        totals = {} if intent.totals is UNSET else intent.totals
        for variant, total in totals.items():
            self._no(variant is None and len(drop["lots"]) > 1, "variant_required")
            self._no(variant is not None and variant not in drop["lots"], "unknown_variant")
            lot = drop["lots"][variant or next(iter(drop["lots"]))]
            self._no(started and total < lot["total"], "drop_started")
            self._no(total < lot["reserved"] + lot["sold"], "stock_taken", lot["reserved"] + lot["sold"])
        for variant, total in totals.items():
            lot = drop["lots"][variant or next(iter(drop["lots"]))]
            lot["available"] += total - lot["total"]
            lot["total"] = total
        drop.update(new)
        return self._drop_answer(drop)

    def _publish(self, intent: said.Publish) -> Any:
        drop = self._own_drop(intent)
        self._no(drop["cancelled"], "drop_cancelled")
        over = drop["ends_at"] is not None and drop["ends_at"] <= self.now
        self._no(over and not drop["published"], "drop_ended")
        drop["published"] = True
        return self._drop_answer(drop)

    def _canceldrop(self, intent: said.CancelDrop) -> Any:
        drop = self._own_drop(intent)
        drop["cancelled"] = True
        return self._drop_answer(drop)

    # What they share

    def _no(self, refused: bool, code: str, *figures: Any) -> None:
        if refused:
            raise No(code, *figures)

    def _own_drop(self, intent: Any) -> Row:
        drop = self.drops[intent.drop_id]
        self._no(drop["creator"] != intent.creator_id, "not_found")
        return drop

    def _order(self, intent: Any) -> Row:
        order = self.orders.get(intent.order_id)
        self._no(order is None or order["drop"] != intent.drop_id, "not_found")
        return self.orders[intent.order_id]

    def _payments(self, order: Row) -> list[Row]:
        return [payment for payment in self.payments.values() if payment["order"] == order["id"]]

    def _payment(self, intent: Any) -> Row:
        payment = self.payments.get(intent.payment_id)
        self._no(payment is None or payment["order"] != intent.order_id, "not_found")
        return self.payments[intent.payment_id]

    def _held(self, drop: Row, user: UUID) -> int:
        own = [order for order in self.orders.values() if (order["drop"], order["user"]) == (drop["id"], user)]
        return sum(order["quantity"] for order in own if order["status"] in ("reserved", "paying", "paid"))

    def _passes_limit(self, drop: Row, user: UUID, quantity: int) -> bool:
        return drop["limit"] is not None and self._held(drop, user) + quantity > drop["limit"]

    def _move(self, order: Row, source: str, target: str) -> None:
        order["lot"][source] -= order["quantity"]
        order["lot"][target] += order["quantity"]

    def _sold(self, order: Row) -> None:
        self._move(order, "reserved", "sold")
        order["status"] = "paid"

    def _ended(self, order: Row, status: str) -> None:
        self._move(order, "reserved", "available")
        order["status"] = status

    def _came_back(self, order: Row) -> None:
        self._move(order, "sold", "available")
        order["status"] = "refunded"

    def _attempt(self, order: Row, attempt: Any) -> Row:
        order["payment"] = attempt.payment_id
        row = {"id": attempt.payment_id, "order": order["id"], "status": "initiated", "answer": None}
        self.payments[attempt.payment_id] = {**row, "key": None, "fingerprint": None}
        return self.payments[attempt.payment_id]

    def _refund(self, order: Row) -> Row | None:
        for payment in self._payments(order):
            if payment["status"] in TOOK_MONEY:
                if payment["status"] == "captured":
                    payment["status"] = "refund_pending"
                return payment
        if order["status"] == "paid":  # it cost nothing
            self._came_back(order)
        return None

    def _remember(self, order: Row, payment: Row, status: int, reason: str | None = None) -> None:
        if not order["one_step"]:
            payment["answer"] = payment["answer"] or status
        elif order["answer"] is None and order["payment"] == payment["id"]:
            order["answer"], order["reason"] = status, reason

    def _answer(self, order: Row, payment: Row | None, *, replayed: bool = False) -> Any:
        names = ("id", "status", "quantity", "total", "payment", "cancel_requested", "answer", "reason")
        paid = None if payment is None else (payment["id"], payment["status"], payment["answer"])
        return (*(order[name] for name in names), paid, replayed)

    def _drop_answer(self, drop: Row) -> Any:
        lots = tuple(
            tuple(lot[name] for name in ("total", "available", "reserved", "sold")) for lot in drop["lots"].values()
        )
        return (*(drop[name] for name in ("published", "cancelled", "starts_at", "ends_at", "limit")), lots)
