"""PostgreSQL: one pool, short visible transactions, and which errors mean "the database is away"."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Record: TypeAlias = asyncpg.Record

CONNECT_TIMEOUT_SECONDS = 5.0
ACQUIRE_TIMEOUT_SECONDS = 5.0
STATEMENT_TIMEOUT_MS = 10_000
LOCK_TIMEOUT_MS = 3_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 10_000

# What PostgreSQL says when it can't serve or takes no writes: connection trouble (08), out of disk, memory or
# connections (53), shutting down or starting (57P), I/O failure (58), read-only server (25006).
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


def is_away(error: BaseException) -> bool:
    """Whether this error says that the database can't be reached or takes no writes now."""
    if isinstance(error, asyncpg.QueryCanceledError):  # a statement's own timeout
        return True
    if isinstance(error, asyncpg.InterfaceError):  # asyncpg: the connection is closed, or was lost in mid-air
        return "clos" in str(error) or "connection" in str(error)
    return isinstance(error, (*_AWAY, OSError, asyncio.TimeoutError))


def is_contended(error: BaseException) -> bool:
    """Whether this error says that others hold what was asked for; nothing was changed, trying again may succeed."""
    return isinstance(
        error, (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
    )


async def _leave_as_it_is(connection: Connection) -> None:
    """What a connection needs before the next borrower has it: nothing. All that we set is set for a transaction, and
    asyncpg's own reset would be one more round trip for every use."""
    assert not connection.is_in_transaction(), "a transaction ends with its block"


class Database:
    """A pool of connections to one PostgreSQL."""

    def __init__(
        self,
        url: str,
        *,
        connections_max: int = 10,
        application_name: str = "livedrop",
    ) -> None:
        self.url = url
        self._connections_max = connections_max
        self._application_name = application_name
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> Database:
        self._pool = await asyncpg.create_pool(
            self.url,
            min_size=1,
            max_size=self._connections_max,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=STATEMENT_TIMEOUT_MS / 1000 + 5,
            max_inactive_connection_lifetime=60,
            reset=_leave_as_it_is,
            server_settings=self.server_settings(),
        )
        return self

    def server_settings(self) -> dict[str, str]:
        return {
            "application_name": self._application_name,
            "statement_timeout": str(STATEMENT_TIMEOUT_MS),
            "lock_timeout": str(LOCK_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
            "timezone": "UTC",
            "synchronous_commit": "on",  # whatever default the database has
            "jit": "off",
        }

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection of one's own, outside the pool; the caller closes it."""
        return await asyncpg.connect(
            self.url,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=STATEMENT_TIMEOUT_MS / 1000 + 5,
            server_settings=self.server_settings(),
        )

    async def close(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                await asyncio.wait_for(pool.close(), timeout=5)
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A pooled connection, each statement its own transaction: for reads."""
        assert self._pool is not None, "the database is not open"
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A durable READ COMMITTED transaction: committed when the block ends, rolled back when it raises."""
        async with self.connection() as connection, connection.transaction(isolation="read_committed"):
            yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Connection]:
        """A REPEATABLE READ, read-only transaction: every statement sees the same moment."""
        async with (
            self.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection

    async def fetch(self, statement: str, *arguments: Any) -> list[Record]:
        async with self.connection() as connection:
            return await connection.fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Record | None:
        async with self.connection() as connection:
            return await connection.fetchrow(statement, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        async with self.connection() as connection:
            return await connection.fetchval(statement, *arguments)
