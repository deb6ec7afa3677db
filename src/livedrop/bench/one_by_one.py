"""The API with one transaction for each order: the same rules and statements, without the batches.

This is what the till is measured against. Run as a module, it serves on a socket that it is handed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
from collections.abc import Callable

import uvloop

from livedrop.kit.database import Database
from livedrop.processes.api import GRACE_SECONDS, api
from livedrop.processes.serving import Server, collect_less, handed
from livedrop.settings import read
from livedrop.stock import Reserve, Settled, Till
from livedrop.stock.books import Books


class OneByOne(Till):
    """Settles each intent in a transaction of its own, over several connections at once."""

    def __init__(
        self, database: Database, *, connections: int, on_committed: Callable[[Books], None] | None = None
    ) -> None:
        super().__init__(database, on_committed=on_committed)
        self._tills = [Till(database, on_committed=on_committed, batch_size_max=1) for _ in range(connections)]
        self._next = itertools.cycle(self._tills)

    def reserve(self, intent: Reserve) -> asyncio.Future[Settled]:
        return next(self._next).reserve(intent)

    async def close(self) -> None:
        for till in self._tills:
            await till.close()
        await super().close()


async def _serve(listener: socket.socket, connections: int) -> None:
    settings = read(os.environ)
    assert settings.database_url is not None, "the benchmark hands over its database"

    def till(database: Database, *, on_committed: Callable[[Books], None]) -> Till:
        return OneByOne(database, connections=connections, on_committed=on_committed)

    async with api(settings, settings.database_url, make_till=till) as application:
        server = Server(application, grace_seconds=GRACE_SECONDS)
        server.stop_on_signals()
        collect_less()
        await server.serve(sockets=[listener])


if __name__ == "__main__":
    uvloop.run(_serve(handed(int(sys.argv[1])), int(sys.argv[2])))
