"""Many callers, one round trip: while one batch is settled, the next one fills. No timer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from livedrop.kit.refusals import Busy

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Collects items and settles them batch after batch with `settle`, one batch at a time.

    `settle` gets 1..`batch_size_max` items and returns one result for each, in order; an exception among the
    results is raised to that item's caller, an exception raised by `settle` to all of the batch.
    `ask` raises `Busy` at once when `queue_max` items wait already.
    """

    def __init__(
        self,
        settle: Callable[[Sequence[Item]], Awaitable[Sequence[Result | BaseException]]],
        *,
        batch_size_max: int,
        queue_max: int,
        name: str,
    ) -> None:
        self._settle = settle
        self._batch_size_max = batch_size_max
        self._queue_max = queue_max
        self._name = name
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._runner: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, item: Item) -> asyncio.Future[Result]:
        """The future of this item's result."""
        if len(self._waiting) >= self._queue_max:
            raise Busy
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name=self._name)
        return future

    async def idle(self) -> None:
        """Returns when nothing waits any more."""
        while self._runner is not None:
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        try:
            while self._waiting:
                # One turn of the loop lets every request that is readable now join this batch.
                await asyncio.sleep(0)
                size = min(len(self._waiting), self._batch_size_max)
                await self._settle_batch([self._waiting.popleft() for _ in range(size)])
        except BaseException:  # the process is stopping: nobody may wait for ever
            while self._waiting:
                self._waiting.popleft()[1].cancel()
            raise
        finally:
            self._runner = None

    async def _settle_batch(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._settle([item for item, _ in batch])
            assert len(results) == len(batch), f"{self._name}: {len(results)} results for {len(batch)} items"
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():  # its caller went away
                continue
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)
