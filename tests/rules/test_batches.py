"""kit/batches: one batch at a time, one result for each, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from livedrop.kit.batches import Batcher
from livedrop.kit.refusals import Busy


class Recording:
    """Doubles each number; a negative one is an error of its own. Stops where `gate` is closed."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.settling = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def settle(self, items: Sequence[int]) -> list[int | BaseException]:
        self.settling += 1
        assert self.settling == 1, "two batches at once"
        self.batches.append(list(items))
        try:
            await self.gate.wait()
        finally:
            self.settling -= 1
        return [ValueError(item) if item < 0 else 2 * item for item in items]


def batcher(recording: Recording, *, batch_size_max: int = 3, queue_max: int = 10) -> Batcher[int, int]:
    return Batcher(recording.settle, batch_size_max=batch_size_max, queue_max=queue_max, name="doubles")


async def test_everybody_gets_his_own_result() -> None:
    recording = Recording()
    doubles = batcher(recording)
    assert await asyncio.gather(*(doubles.ask(number) for number in range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert recording.batches == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(doubles) == 0


async def test_who_comes_while_a_batch_is_settled_joins_the_next() -> None:
    recording = Recording()
    doubles = batcher(recording)
    recording.gate.clear()
    first = doubles.ask(1)
    while recording.settling == 0:
        await asyncio.sleep(0)
    others = [doubles.ask(number) for number in (2, 3)]
    assert len(doubles) == 2
    recording.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert recording.batches == [[1], [2, 3]]


async def test_a_full_queue_refuses_at_once_and_takes_again_later() -> None:
    recording = Recording()
    doubles = batcher(recording, queue_max=4)
    recording.gate.clear()
    asked = [doubles.ask(number) for number in range(4)]
    with pytest.raises(Busy):
        doubles.ask(4)
    recording.gate.set()
    assert await asyncio.gather(*asked) == [0, 2, 4, 6]
    assert await doubles.ask(4) == 8


async def test_an_error_among_the_results_is_its_own_callers() -> None:
    doubles = batcher(Recording())
    results = await asyncio.gather(*(doubles.ask(number) for number in (1, -2, 3)), return_exceptions=True)
    assert [results[0], results[2]] == [2, 6]
    assert isinstance(results[1], ValueError)


async def test_an_error_of_the_batch_is_everybodys_and_the_next_batch_is_settled() -> None:
    async def settle(items: Sequence[int]) -> list[int | BaseException]:
        if 0 in items:
            raise OSError("gone")
        return list(items)

    doubles: Batcher[int, int] = Batcher(settle, batch_size_max=2, queue_max=10, name="fails")
    results = await asyncio.gather(*(doubles.ask(number) for number in (0, 1, 2)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError, int]


async def test_a_caller_who_went_away_from_a_batch_that_fails_takes_nobody_along() -> None:
    asked: list[asyncio.Future[int]] = []

    async def settle(items: Sequence[int]) -> list[int | BaseException]:
        asked[0].cancel()
        raise OSError("gone")

    failing: Batcher[int, int] = Batcher(settle, batch_size_max=3, queue_max=10, name="fails")
    asked += [failing.ask(number) for number in range(3)]
    async with asyncio.timeout(5):
        answered = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answered] == [asyncio.CancelledError, OSError, OSError]


@pytest.mark.parametrize("results", [[], [1, 2, 3]])
async def test_a_wrong_number_of_results_is_an_error_for_everybody(results: list[int | BaseException]) -> None:
    """Seen before: the callers waited for ever."""

    async def settle(items: Sequence[int]) -> list[int | BaseException]:
        return results

    wrong: Batcher[int, int] = Batcher(settle, batch_size_max=2, queue_max=10, name="wrong")
    asked = [wrong.ask(number) for number in range(4)]
    async with asyncio.timeout(5):
        answered = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answered] == [AssertionError] * 4


async def test_a_caller_who_went_away_takes_nobody_along() -> None:
    recording = Recording()
    doubles = batcher(recording)
    recording.gate.clear()
    settled, waiting, staying = doubles.ask(1), doubles.ask(2), doubles.ask(3)
    while recording.settling == 0:
        await asyncio.sleep(0)
    late = doubles.ask(4)
    settled.cancel()
    waiting.cancel()
    late.cancel()
    recording.gate.set()
    assert await staying == 6
    assert await doubles.ask(5) == 10
    # What was asked is settled all the same: it may have been committed already.
    assert recording.batches == [[1, 2, 3], [4, 5]]


async def test_idle_returns_when_all_are_settled() -> None:
    recording = Recording()
    doubles = batcher(recording)
    await doubles.idle()
    asked = [doubles.ask(number) for number in range(7)]
    await doubles.idle()
    assert all(future.done() for future in asked)


async def test_a_stopping_process_leaves_nobody_waiting() -> None:
    """Seen before: those who waited for a later batch waited for ever."""
    recording = Recording()
    doubles = batcher(recording)
    recording.gate.clear()
    asked = [doubles.ask(number) for number in range(5)]
    while recording.settling == 0:
        await asyncio.sleep(0)
    (runner,) = (task for task in asyncio.all_tasks() if task.get_name() == "doubles")
    runner.cancel()
    async with asyncio.timeout(5):
        answered = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answered] == [asyncio.CancelledError] * 5
    recording.gate.set()
    assert await doubles.ask(6) == 12
