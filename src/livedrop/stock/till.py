"""The till: every change of stock and of an order's status, settled batch after batch."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import cast

import asyncpg
import structlog

from livedrop.kit.batches import Batcher
from livedrop.kit.database import Connection, Database, is_away
from livedrop.kit.refusals import Busy, Refusal, Unavailable
from livedrop.stock import store
from livedrop.stock.books import Books
from livedrop.stock.intents import DropIntent, DropSettled, Intent, OrderIntent, Reserve, Result, Settled
from livedrop.stock.rules import settle

log = structlog.get_logger("livedrop.till")

BATCH_SIZE_MAX = 512
# What fits the queue is answered within about a second; a longer queue would only be a longer wait.
RESERVES_WAITING_MAX = 8_192
# Room that only sells, releases and the like may use: the crowd must not crowd out its own payments.
INTENTS_WAITING_MAX = 16_384
ATTEMPTS_MAX = 4
# A plan that was made while the tables were almost empty takes any index that fits a little. Made within half a
# second of their use, plans fit the tables, also while a new installation fills.
PLANS_AGE_MAX_SECONDS = 0.5

# What does not get better by asking once more at once.
_LASTING = (
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.QueryCanceledError,
    TimeoutError,
)

Answered = Result | Refusal


class Till:
    """Takes intents, settles a whole crowd's in one short transaction after another.

    Any number of tills may run, in any number of processes: a batch holds the locks of its drops' heads from
    before it reads until it has committed, so batches on one drop happen one after another.
    `on_committed` sees the books of every committed batch (to remember what is sold out, for example).
    """

    def __init__(
        self,
        database: Database,
        *,
        on_committed: Callable[[Books], None] | None = None,
        batch_size_max: int = BATCH_SIZE_MAX,
    ) -> None:
        self._database = database
        self._on_committed = on_committed
        self.settled = {"batches": 0, "intents": 0}
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._plans_made_at = -math.inf
        self._batches: Batcher[Intent, Result] = Batcher(
            self._settle, batch_size_max=batch_size_max, queue_max=INTENTS_WAITING_MAX, name="till"
        )

    @property
    def waiting(self) -> int:
        """How many intents wait for a batch."""
        return len(self._batches)

    def reserve(self, intent: Reserve) -> asyncio.Future[Settled]:
        """The future of the order; raises `Busy` at once when too many wait already."""
        if len(self._batches) >= RESERVES_WAITING_MAX:
            raise Busy
        return cast("asyncio.Future[Settled]", self._batches.ask(intent))

    def settle(self, intent: OrderIntent) -> asyncio.Future[Settled]:
        """The future of what becomes of an intent about an existing order."""
        return cast("asyncio.Future[Settled]", self._batches.ask(intent))

    def change(self, intent: DropIntent) -> asyncio.Future[DropSettled]:
        """The future of what becomes of an intent about a drop."""
        return cast("asyncio.Future[DropSettled]", self._batches.ask(intent))

    async def close(self) -> None:
        """Settles what waits, then lets the connection go."""
        await self._batches.idle()
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _settle(self, intents: Sequence[Intent]) -> list[Result | BaseException]:
        """One result or exception for each intent, whatever happens to the database."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return list(await self._settle_in_one_transaction(intents))
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as error:
                log.info("batch_tried_again", attempt=attempt, error=repr(error))
            except asyncpg.LockNotAvailableError as error:
                return await self._settle_drop_by_drop(intents, error)
            except Exception as error:
                if not is_away(error):
                    return await self._settle_apart(intents, error)
                self._drop_connection()
                # The answer to a COMMIT may have been lost. Settled again with the same ids, under the heads'
                # lock, what was committed appears as its own result.
                log.warning("batch_lost_its_database", attempt=attempt, error=repr(error))
                if isinstance(error, _LASTING):
                    break  # a full disk or a silent server does not get better within the next second
                await asyncio.sleep(0.05 * attempt)
        return [Unavailable() for _ in intents]

    async def _settle_in_one_transaction(self, intents: Sequence[Intent]) -> list[Answered]:
        connection = await self._connected()
        drop_ids = sorted({intent.drop_id for intent in intents})
        try:
            await store.begin_and_lock(connection, drop_ids, plan_anew=self._plans_are_old())
            books = await store.read(connection, drop_ids, intents)
            results = settle(books, intents)
            if books.changed:
                await store.write(connection, books)
            committed = await connection.execute("COMMIT")
            assert committed == "COMMIT", f"PostgreSQL answered {committed} to COMMIT"
        except BaseException:
            await self._roll_back(connection)
            raise
        self.settled["batches"] += 1
        self.settled["intents"] += len(intents)
        if self._on_committed is not None:
            self._on_committed(books)
        return results

    async def _settle_drop_by_drop(self, intents: Sequence[Intent], error: Exception) -> list[Result | BaseException]:
        """Somebody holds one drop's head for long: the others need not wait for it."""
        by_drop: dict[object, list[int]] = {}
        for index, intent in enumerate(intents):
            by_drop.setdefault(intent.drop_id, []).append(index)
        if len(by_drop) == 1:
            log.warning("head_stayed_locked", drop_id=str(intents[0].drop_id), error=repr(error))
            return [Busy("This drop is being changed by somebody else; try again.") for _ in intents]
        results: list[Result | BaseException] = [Unavailable()] * len(intents)
        for indexes in by_drop.values():
            settled = await self._settle([intents[index] for index in indexes])
            for index, result in zip(indexes, settled, strict=True):
                results[index] = result
        return results

    async def _settle_apart(self, intents: Sequence[Intent], error: Exception) -> list[Result | BaseException]:
        """A bug is to fail only the intent that it is in: finds it by halves."""
        if len(intents) == 1:
            log.error("intent_failed", intent=type(intents[0]).__name__, exc_info=error)
            return [error]
        log.warning("batch_taken_apart", intents=len(intents), error=repr(error))
        half = len(intents) // 2
        return [*await self._settle(intents[:half]), *await self._settle(intents[half:])]

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._database.connect()
        return self._connection

    def _plans_are_old(self) -> bool:
        now = time.monotonic()
        if now - self._plans_made_at <= PLANS_AGE_MAX_SECONDS:
            return False
        self._plans_made_at = now
        return True

    async def _roll_back(self, connection: Connection) -> None:
        try:
            await asyncio.wait_for(connection.execute("ROLLBACK"), timeout=2)
        except Exception:  # then the transaction ends with its connection
            self._drop_connection()

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
