"""Delivering webhooks: at least once, several at a time, at a gentle pace, for days if need be."""

from __future__ import annotations

import asyncio
import logging
import random

import aiohttp

from livedrop.kit.database import Database
from livedrop.payments.sandbox import store
from livedrop.payments.sandbox.wire import WEBHOOK_EVENTS_MAX, WEBHOOK_PATH, sign_webhook

POST_TIMEOUT_SECONDS = 10.0
PACE_SECONDS = 0.1  # between two webhooks, so that they never crowd out the buyers
POLL_SECONDS = 0.5  # while something is due later: a new event may be due sooner
IDLE_SECONDS = 30.0  # while there is nothing: `wake` comes first, and this if it is missed
RETRY_FIRST_SECONDS = 1.0
RETRY_LONGEST_SECONDS = 300.0
REST_LONGEST_SECONDS = 15.0

log = logging.getLogger("livedrop.sandbox")


class Deliveries:
    """Posts due events to the API until it says 2xx; `run` never returns, `wake` says that there may be new ones."""

    def __init__(self, database: Database, api_url: str, secret: bytes, *, retry_first_seconds: float) -> None:
        self._database = database
        self._url = api_url.rstrip("/") + WEBHOOK_PATH
        self._secret = secret
        self._retry_first_seconds = retry_first_seconds
        self._woken = asyncio.Event()
        self._size_max = WEBHOOK_EVENTS_MAX
        self._failures = 0

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=POST_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                try:
                    await self._deliver_due(session)
                except Exception:
                    log.exception("webhooks can't be delivered now")
                    await asyncio.sleep(self._rest_seconds())

    async def _deliver_due(self, session: aiohttp.ClientSession) -> None:
        due = await store.due_events(self._database, self._size_max)
        if not due:
            await self._wait_until_due()
            return
        random.shuffle(due)  # no order is promised, so none is given
        event_ids = [one.id for one in due]
        if await self._post(session, due):
            await store.delivered(self._database, event_ids)
            self._failures = 0
            self._size_max = min(self._size_max * 2, WEBHOOK_EVENTS_MAX)
            await asyncio.sleep(PACE_SECONDS)
        else:
            await store.postpone(
                self._database,
                event_ids,
                first_seconds=self._retry_first_seconds,
                longest_seconds=RETRY_LONGEST_SECONDS,
            )
            # Smaller and smaller, so that an event which nobody can take ends up alone and holds up nothing.
            self._size_max = max(self._size_max // 2, 1)
            await asyncio.sleep(self._rest_seconds())

    async def _post(self, session: aiohttp.ClientSession, due: list[store.DueEvent]) -> bool:
        headers, body = sign_webhook(self._secret, [one.event for one in due])
        try:
            async with session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                taken, said = 200 <= answer.status < 300, f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            taken, said = False, f"{type(error).__name__}: {error}"
        if not taken and self._failures == 0:
            log.warning("%d webhook events were not taken (%s); trying again", len(due), said)
        return taken

    async def _wait_until_due(self) -> None:
        self._woken.clear()
        seconds = await store.seconds_until_due(self._database)
        if seconds is not None:
            await asyncio.sleep(min(max(seconds, 0.0), POLL_SECONDS))
            return
        try:
            await asyncio.wait_for(self._woken.wait(), timeout=IDLE_SECONDS)
        except TimeoutError:
            return

    def _rest_seconds(self) -> float:
        self._failures += 1
        longest = min(self._retry_first_seconds * 2.0 ** min(self._failures, 10), REST_LONGEST_SECONDS)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  jitter is no secret
