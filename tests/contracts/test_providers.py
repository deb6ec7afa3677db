"""One suite over the payment providers: the sandbox, asked over HTTP, and the double that other tests use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from doubles import ScriptedProvider
from livedrop.kit.ids import new_id
from livedrop.kit.signed_webhooks import TOLERANCE_SECONDS, signature_headers
from livedrop.payments import (
    BadSignature,
    Captured,
    Charge,
    Declined,
    MalformedWebhook,
    NoAnswer,
    PaymentEvent,
    Provider,
    ProviderConflict,
    Refunded,
    Unknown,
    Voided,
)
from livedrop.payments.providers.sandbox import SandboxProvider
from livedrop.payments.sandbox.wire import WEBHOOK_EVENTS_MAX, sign_webhook
from running_sandbox import NOBODY, SECRET, Sandbox, a_charge


def changed(charge: Charge, **changes: object) -> Charge:
    fields = {name: getattr(charge, name) for name in charge.__struct_fields__}
    return Charge(**(fields | changes))


@pytest.fixture
async def sandbox(database_url: str) -> AsyncIterator[Provider]:
    async with Sandbox(database_url) as running:
        yield running.provider


@pytest.fixture
def double() -> Provider:
    return ScriptedProvider(SECRET)


@pytest.fixture(params=["sandbox", "double"])
def provider(request: pytest.FixtureRequest) -> Provider:
    chosen: Provider = request.getfixturevalue(request.param)
    return chosen


async def test_a_good_card_is_captured(provider: Provider) -> None:
    charge = a_charge()
    assert await provider.charge(charge) == Captured()
    assert await provider.look_up(charge.payment_id) == Captured()
    assert not provider.known_down


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("pm_card_declined", "card_declined"),
        ("pm_card_insufficient_funds", "insufficient_funds"),
        ("visa", "unknown_method"),
        ("ö\n" * 50, "unknown_method"),
    ],
)
async def test_a_bad_card_is_declined_with_its_reason(provider: Provider, method: str, reason: str) -> None:
    charge = a_charge(method)
    assert await provider.charge(charge) == Declined(reason)
    assert await provider.look_up(charge.payment_id) == Declined(reason)
    assert await provider.charge(charge) == Declined(reason)


async def test_an_attempt_nobody_heard_of_is_unknown(provider: Provider) -> None:
    assert await provider.look_up(new_id()) == Unknown()


async def test_fifty_equal_charges_at_once_are_one(provider: Provider) -> None:
    charge = a_charge()
    answers = await asyncio.gather(*[provider.charge(charge) for _ in range(50)])
    assert answers == [Captured()] * 50
    assert await provider.look_up(charge.payment_id) == Captured()


@pytest.mark.parametrize(
    "changes",
    [{"amount_minor": 1}, {"currency": "USD"}, {"method": "pm_card_declined"}, {"order_id": new_id()}],
    ids=["amount", "currency", "method", "order"],
)
async def test_an_id_stands_for_one_charge(provider: Provider, changes: dict[str, object]) -> None:
    charge = a_charge()
    await provider.charge(charge)
    with pytest.raises(ProviderConflict):
        await provider.charge(changed(charge, **changes))
    assert await provider.look_up(charge.payment_id) == Captured()


async def test_of_two_charges_at_once_with_one_id_one_is_refused(provider: Provider) -> None:
    charge = a_charge()
    both = [charge, changed(charge, amount_minor=1)]
    answers = await asyncio.gather(*[provider.charge(one) for one in both], return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Captured", "ProviderConflict"]


async def test_silence_is_no_answer_and_the_charge_is_told_later(provider: Provider) -> None:
    charge = a_charge("pm_card_timeout_charged")
    with pytest.raises(NoAnswer):
        await provider.charge(charge)
    assert await provider.look_up(charge.payment_id) == Captured()
    assert await provider.charge(charge) == Captured()


async def test_an_error_comes_once_for_each_payment(provider: Provider) -> None:
    for charge in (a_charge("pm_card_error"), a_charge("pm_card_error")):
        with pytest.raises(NoAnswer):
            await provider.charge(charge)
        assert await provider.look_up(charge.payment_id) == Captured()
        assert await provider.charge(charge) == Captured()


async def test_silence_over_a_charge_that_was_not_taken(provider: Provider) -> None:
    charge = a_charge("pm_card_timeout_not_charged")
    with pytest.raises(NoAnswer):
        await provider.charge(charge)
    assert await provider.look_up(charge.payment_id) == Declined("timed_out")


async def test_a_void_comes_before_its_charge(provider: Provider) -> None:
    charge = a_charge()
    assert await provider.void(charge.payment_id) == Voided()
    assert await provider.charge(charge) == Declined("voided")
    assert await provider.void(charge.payment_id) == Voided()
    assert await provider.look_up(charge.payment_id) == Voided()


async def test_a_void_comes_too_late(provider: Provider) -> None:
    captured, declined = a_charge(), a_charge("pm_card_declined")
    await provider.charge(captured)
    await provider.charge(declined)
    assert await provider.void(captured.payment_id) == Captured()
    assert await provider.void(declined.payment_id) == Declined("card_declined")
    await provider.refund(captured.payment_id)
    assert await provider.void(captured.payment_id) == Refunded()


async def test_a_void_races_its_charge_and_one_of_them_wins(provider: Provider) -> None:
    for _ in range(20):
        charge = a_charge()
        answer, voided = await asyncio.gather(provider.charge(charge), provider.void(charge.payment_id))
        assert (answer, voided) in [(Captured(), Captured()), (Declined("voided"), Voided())]
        assert await provider.look_up(charge.payment_id) == voided


async def test_a_refund_is_made_once(provider: Provider) -> None:
    charge = a_charge()
    await provider.charge(charge)
    answers = await asyncio.gather(*[provider.refund(charge.payment_id) for _ in range(10)])
    assert answers == [Refunded()] * 10
    assert await provider.look_up(charge.payment_id) == Refunded()
    assert await provider.charge(charge) == Captured(), "it was captured, whatever came later"


async def test_what_was_not_captured_is_not_refunded(provider: Provider) -> None:
    declined = a_charge("pm_card_declined")
    await provider.charge(declined)
    for payment_id in (declined.payment_id, new_id()):
        with pytest.raises(ProviderConflict):
            await provider.refund(payment_id)
    assert await provider.look_up(declined.payment_id) == Declined("card_declined")


# Webhooks: read without a call to anybody.


@pytest.fixture(
    params=[lambda: SandboxProvider(NOBODY, webhook_secrets=[SECRET]), lambda: ScriptedProvider(SECRET)],
    ids=["sandbox", "double"],
)
def reader(request: pytest.FixtureRequest) -> Provider:
    made: Provider = request.param()
    return made


def an_event(outcome: Captured | Declined | Voided | Refunded = Captured()) -> PaymentEvent:  # noqa: B008
    return PaymentEvent(payment_id=new_id(), drop_id=new_id(), order_id=new_id(), outcome=outcome)


def test_a_signed_webhook_is_read(reader: Provider) -> None:
    events = [an_event(outcome) for outcome in (Captured(), Declined("card_declined"), Voided(), Refunded())]
    assert reader.read_webhook(*sign_webhook(SECRET, events)) == events


def test_a_duplicate_webhook_is_read_again(reader: Provider) -> None:
    events = [an_event()] * 2
    headers, body = sign_webhook(SECRET, events)
    assert reader.read_webhook(headers, body) == reader.read_webhook(headers, body) == events


def test_one_of_several_signatures_is_enough(reader: Provider) -> None:
    headers, body = sign_webhook(SECRET, [an_event()])
    headers["webhook-signature"] = f"v1,bm90IGl0 v2,x {headers['webhook-signature']}"
    assert len(reader.read_webhook(headers, body)) == 1


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "v1,", "v1,é\udcff", "1" * 100_000, "-1"])
def test_a_webhook_with_a_missing_or_forged_header_is_refused(reader: Provider, name: str, value: str | None) -> None:
    headers, body = sign_webhook(SECRET, [an_event()])
    del headers[name]
    if value is not None:
        headers[name] = value
    with pytest.raises(BadSignature):
        reader.read_webhook(headers, body)


def test_a_tampered_webhook_is_refused(reader: Provider) -> None:
    headers, body = sign_webhook(SECRET, [an_event(Declined("card_declined"))])
    with pytest.raises(BadSignature):
        reader.read_webhook(headers, body.replace(b"declined", b"captured", 1))


def test_a_webhook_signed_with_another_secret_is_refused(reader: Provider) -> None:
    with pytest.raises(BadSignature):
        reader.read_webhook(*sign_webhook(b"another secret", [an_event()]))


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_webhook_is_good_for_five_minutes(reader: Provider, sign: int) -> None:
    _, body = sign_webhook(SECRET, [an_event()])
    near, far = (time.time() + sign * (TOLERANCE_SECONDS + seconds) for seconds in (-30, 30))
    assert len(reader.read_webhook(signature_headers(SECRET, "msg_1", body, near), body)) == 1
    with pytest.raises(BadSignature):
        reader.read_webhook(signature_headers(SECRET, "msg_1", body, far), body)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"events":[]}', b'{"events":[{}]}', b"\xff", b"["])
def test_a_signed_webhook_that_says_nothing_is_malformed(reader: Provider, body: bytes) -> None:
    with pytest.raises(MalformedWebhook):
        reader.read_webhook(signature_headers(SECRET, "msg_1", body, time.time()), body)


def test_the_largest_webhook_fits_into_the_largest_body() -> None:
    longest = PaymentEvent(
        payment_id=UUID(int=2**128 - 1),
        drop_id=UUID(int=2**128 - 1),
        order_id=UUID(int=2**128 - 1),
        outcome=Declined("insufficient_funds"),
    )
    _, body = sign_webhook(SECRET, [longest] * WEBHOOK_EVENTS_MAX)
    assert len(body) <= 64 * 1024
