"""The worker process: what nobody asks for at the time. Any number may run: the till decides what they find."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from livedrop.accounts import prune
from livedrop.kit.database import Database, is_away
from livedrop.kit.refusals import Busy, Unavailable
from livedrop.orders import Cashier, Recovery, expire_holds, wind_up_cancelled
from livedrop.payments.providers.sandbox import SandboxProvider
from livedrop.payments.sandbox.wire import webhook_secret
from livedrop.processes.database import running_database, told_in_one_sentence
from livedrop.settings import Settings
from livedrop.stock import Till
from livedrop.web.idempotency import prune_keys

log = structlog.get_logger("livedrop.worker")

CONNECTIONS_MAX = 4
EXPIRE_EVERY_SECONDS = 0.25
WIND_UP_EVERY_SECONDS = 0.5
RECOVER_EVERY_SECONDS = 1.0
PRUNE_EVERY_SECONDS = 300.0
AWAY_PAUSE_SECONDS = 1.0


def run(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT. Raises `CannotStart`."""
    with told_in_one_sentence(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings))


async def _work(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with running_database(settings) as url:
        database = await Database(url, connections_max=CONNECTIONS_MAX, application_name="livedrop worker").open()
        provider = await SandboxProvider(
            settings.provider_url, webhook_secrets=[webhook_secret(key) for key in settings.secret_keys]
        ).open()
        till = Till(database)
        recovery = Recovery(database, Cashier(till, provider))
        loops = [
            _repeat(lambda: expire_holds(database, till), EXPIRE_EVERY_SECONDS),
            _repeat(lambda: wind_up_cancelled(database, till), WIND_UP_EVERY_SECONDS),
            _repeat(recovery.run_once, RECOVER_EVERY_SECONDS),
            _repeat(lambda: prune(database), PRUNE_EVERY_SECONDS),
            _repeat(lambda: prune_keys(database), PRUNE_EVERY_SECONDS),
        ]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            await stopped.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await till.close()
            await provider.close()
            await database.close()


async def _repeat(work: Callable[[], Awaitable[int]], every_seconds: float) -> None:
    """Does the work again and again, at once while it finds something; a database that is away is waited for."""
    away = False
    while True:
        found = 0
        try:
            found = await work()
            away = False
        except Exception as error:
            if not is_away(error) and not isinstance(error, Unavailable | Busy):
                log.error("work_failed", exc_info=error)
            elif not away:
                log.warning("database_away", error=repr(error))
            away = True
            await asyncio.sleep(AWAY_PAUSE_SECONDS)
        # A little jitter keeps several workers from asking in step.
        await asyncio.sleep(every_seconds * random.uniform(0.8, 1.2) if found == 0 else 0.01)  # noqa: S311
