"""The sandbox provider itself: its cards, its record, and what it does when others fail it."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest

from conftest import TestServer
from livedrop.kit.database import Database
from livedrop.kit.ids import new_id
from livedrop.payments import Captured, Charge, Declined, NoAnswer, Refunded, Unknown, Voided
from livedrop.payments.providers.sandbox import SandboxProvider
from running_sandbox import ProviderProcess, Sandbox, a_charge, adapter, ask, eventually, hurried


@pytest.fixture
async def sandbox(database_url: str) -> AsyncIterator[Sandbox]:
    async with Sandbox(database_url) as running:
        yield running


@pytest.fixture
async def silent_sandbox(database_url: str) -> AsyncIterator[Sandbox]:
    """One that is silent for longer than its callers wait."""
    async with Sandbox(database_url, delays=hurried(silent_seconds=60), charge_timeout_seconds=1) as running:
        yield running


async def test_a_slow_card_is_captured_at_once_and_answered_later(database_url: str) -> None:
    async with Sandbox(database_url, delays=hurried(slow_seconds=0.2)) as sandbox:
        charge = a_charge("pm_card_slow")
        began = time.monotonic()
        charging = asyncio.create_task(sandbox.provider.charge(charge))
        await until_captured(sandbox.provider, charge)
        assert not charging.done()
        assert await charging == Captured()
        assert time.monotonic() - began >= 0.2


async def test_the_record_keeps_what_was_captured_and_refunded(sandbox: Sandbox, database: Database) -> None:
    kept, refunded, declined, voided = (
        a_charge(amount_minor=100),
        a_charge(amount_minor=30),
        a_charge("pm_card_declined"),
        a_charge(),
    )
    for charge in (kept, refunded, declined):
        await asyncio.gather(*[sandbox.provider.charge(charge) for _ in range(10)])
    await sandbox.provider.refund(refunded.payment_id)
    await sandbox.provider.void(voided.payment_id)
    rows = await database.fetch("SELECT payment_id, captured_minor, refunded_minor FROM sandbox.charges")
    assert {row["payment_id"]: (row["captured_minor"], row["refunded_minor"]) for row in rows} == {
        kept.payment_id: (100, 0),
        refunded.payment_id: (30, 30),
        declined.payment_id: (0, 0),
        voided.payment_id: (0, 0),
    }


async def test_a_crowd_of_charges_is_recorded_one_by_one(sandbox: Sandbox, database: Database) -> None:
    charges = [a_charge("pm_card_declined" if number % 3 == 0 else "pm_card_ok") for number in range(600)]
    answers = await asyncio.gather(*[sandbox.provider.charge(charge) for charge in charges])
    assert answers == [Declined("card_declined") if number % 3 == 0 else Captured() for number in range(len(charges))]
    assert await database.fetchval("SELECT count(*) FROM sandbox.charges WHERE status = 'captured'") == 400


async def test_a_charge_gives_up_in_time(silent_sandbox: Sandbox) -> None:
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        await silent_sandbox.provider.charge(a_charge("pm_card_timeout_charged"))
    assert 0.9 < time.monotonic() - began < 10


async def test_many_silent_charges_hold_up_nobody_else(silent_sandbox: Sandbox) -> None:
    silent = [a_charge("pm_card_timeout_charged") for _ in range(140)]  # more than there are connections
    charging = [asyncio.create_task(silent_sandbox.provider.charge(charge)) for charge in silent]
    await until_captured(silent_sandbox.provider, silent[0])
    assert await silent_sandbox.provider.void(new_id()) == Voided()
    answers = await asyncio.gather(*charging, return_exceptions=True)
    assert {type(answer) for answer in answers} == {NoAnswer}


async def test_only_so_many_wait_and_one_more_is_refused_undecided(
    silent_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livedrop.payments.sandbox.application.WAITING_MAX", 2)
    silent = [a_charge("pm_card_timeout_charged") for _ in range(2)]
    charging = [asyncio.create_task(silent_sandbox.provider.charge(charge)) for charge in silent]
    for charge in silent:
        await until_captured(silent_sandbox.provider, charge)
    one_more = a_charge("pm_card_timeout_charged")
    assert await ask(silent_sandbox, one_more, msgspec.json.encode(one_more)) == 503
    assert await silent_sandbox.provider.look_up(one_more.payment_id) == Unknown()
    assert await silent_sandbox.provider.charge(a_charge()) == Captured()
    await asyncio.wait(charging)
    slow = a_charge("pm_card_slow")

    async def is_taken() -> bool:
        return await ask(silent_sandbox, slow, msgspec.json.encode(slow)) == 200

    await eventually(is_taken)


async def test_silence_ends_when_the_caller_does_not_hang_up(database_url: str) -> None:
    async with Sandbox(database_url, delays=hurried(silent_seconds=0.05)) as sandbox:
        charge = a_charge("pm_card_timeout_charged")
        assert await ask(sandbox, charge, msgspec.json.encode(charge)) == 504


async def test_a_charge_outlives_the_process_that_took_it(own_postgres: TestServer) -> None:
    charge, silent = a_charge(), a_charge("pm_card_timeout_charged")
    async with ProviderProcess(own_postgres.url) as process, adapter(process.url, 4) as provider:
        assert await provider.charge(charge) == Captured()
        waiting = asyncio.create_task(provider.charge(silent))
        await until_captured(provider, silent)
        await process.kill()
        with pytest.raises(NoAnswer):
            await waiting
        await own_postgres.stop_immediately()
        await own_postgres.start()
        await process.start()
        assert await provider.look_up(charge.payment_id) == Captured()
        assert await provider.look_up(silent.payment_id) == Captured()
        assert await provider.refund(charge.payment_id) == Refunded()
        assert await provider.charge(charge) == Captured()


async def test_the_process_serves_an_inherited_socket_and_stops_when_told(database_url: str) -> None:
    async with ProviderProcess(database_url) as process, adapter(process.url) as provider:
        slow, silent = a_charge("pm_card_slow"), a_charge("pm_card_timeout_charged")
        charging = [asyncio.create_task(provider.charge(charge)) for charge in (slow, silent)]
        for charge in (slow, silent):
            await until_captured(provider, charge)
        said, status = await process.stop()
        assert status == 0
        assert "ERROR" not in said
        answers = await asyncio.gather(*charging, return_exceptions=True)
        assert answers[0] == Captured()
        assert isinstance(answers[1], NoAnswer)


async def test_without_its_database_the_process_says_so_and_leaves() -> None:
    async with ProviderProcess("postgresql://nobody@/nothing?host=/nonexistent") as process:
        said, status = await process.ended()
    assert status == 1
    assert said.startswith("The sandbox provider can't reach its database")
    assert "\n" not in said.strip()


async def test_a_database_that_is_away_is_no_answer_and_comes_back(own_postgres: TestServer) -> None:
    async with Sandbox(own_postgres.url) as sandbox:
        assert await sandbox.provider.charge(a_charge()) == Captured()
        await own_postgres.stop_immediately()
        charge = a_charge()
        with pytest.raises(NoAnswer):
            await sandbox.provider.charge(charge)
        await own_postgres.start()
        assert await sandbox.provider.charge(charge) == Captured()


async def test_nobody_listens_is_known_down_and_an_answer_ends_it(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
    async with adapter(nowhere) as provider:
        for _ in range(4):
            assert not provider.known_down
            with pytest.raises(NoAnswer):
                await provider.charge(a_charge())
        assert provider.known_down
        provider._charges_url = sandbox.url + "/charges/"
        assert await provider.look_up(new_id()) == Unknown()
        assert not provider.known_down


async def test_scripted_silence_does_not_make_it_known_down(silent_sandbox: Sandbox) -> None:
    silent = [a_charge("pm_card_timeout_charged") for _ in range(60)]
    charging = asyncio.gather(*[silent_sandbox.provider.charge(charge) for charge in silent], return_exceptions=True)
    while not charging.done():
        assert await silent_sandbox.provider.charge(a_charge()) == Captured()
    assert {type(answer) for answer in await charging} == {NoAnswer}
    assert await silent_sandbox.provider.charge(a_charge()) == Captured()
    assert not silent_sandbox.provider.known_down


async def test_whoever_is_no_sandbox_gives_no_answer(sandbox: Sandbox) -> None:
    async with adapter(sandbox.url) as provider:
        provider._charges_url = sandbox.url + "/healthz?"
        with pytest.raises(NoAnswer):
            await provider.refund(new_id())


async def test_what_is_no_charge_is_refused(sandbox: Sandbox) -> None:
    charge = a_charge()
    for body, status in [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 10_000, 422),
        (b"{}", 422),
        (b" " * 20_000, 413),
    ]:
        assert await ask(sandbox, charge, body) == status, body[:20]
    for wrong in [
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"amount_minor": 1.5},
        {"amount_minor": 2**63},
        {"currency": "euros"},
        {"currency": "€€€"},
        {"method": ""},
        {"method": "x" * 101},
        {"method": "a\0b"},
        {"order_id": "1"},
        {"payment_id": str(new_id())},
    ]:
        body = msgspec.json.encode(msgspec.to_builtins(charge) | wrong)
        assert await ask(sandbox, charge, body) == 422, wrong
    assert await sandbox.provider.look_up(charge.payment_id) == Unknown()


async def test_other_addresses_are_refused(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as session:
        for method, path, status in [
            ("GET", "/healthz", 200),
            ("GET", "/", 404),
            ("GET", "/charges/", 404),
            ("GET", "/charges/1", 404),
            ("DELETE", f"/charges/{new_id()}", 405),
            ("POST", f"/charges/{new_id()}/void", 405),
            ("PUT", f"/charges/{new_id()}/other", 405),
        ]:
            async with session.request(method, sandbox.url + path) as answer:
                assert answer.status == status, (method, path)


async def until_captured(provider: SandboxProvider, charge: Charge) -> None:
    async def is_captured() -> bool:
        return await provider.look_up(charge.payment_id) == Captured()

    await eventually(is_captured)
