"""The drop pages, for a crowd: bytes at hand that are never stale for long.

How fresh: whoever asks 100 ms after a commit, in any process, gets what was committed. Bytes that were checked
less than 40 ms ago are served as they are; up to 90 ms they are served while a check is under way; readers of
older ones wait for it. A check is one small SELECT of the versions of all drops that are asked for; only those
that have a newer one are read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from livedrop import follows
from livedrop.drops import store
from livedrop.drops.drop import DropShown, shown
from livedrop.drops.page import FRESH_SECONDS, HeaderLines, Page
from livedrop.kit.batches import Batcher
from livedrop.kit.clock import DatabaseClock, rfc3339
from livedrop.kit.database import Connection, Database
from livedrop.kit.ids import parse_id
from livedrop.kit.refusals import Busy
from livedrop.stock.errors import DropNotFound

STALE_SECONDS = 0.090
CHECK_TIMEOUT_SECONDS = 2.0
PAGES_MAX = 10_000
PAGES_BYTES_MAX = 64 * 1024 * 1024
CHECKED_AT_ONCE_MAX = 1_000
CHECKS_WAITING_MAX = 16_384
# A database's clock that was set back by more than this is followed; less is the jitter of our readings.
STEP_BACK = timedelta(seconds=1)


class _Checked(msgspec.Struct, frozen=True):
    """What a check found, and when its question was sent."""

    page: Page | None
    sent_at: float


class DropPages:
    """The pages of the drops that are asked for: at most `pages_max`, with bodies of `bytes_max`. One a process.

    `monotonic`: seconds of the clock that ages are counted by.
    """

    def __init__(
        self,
        database: Database,
        clock: DatabaseClock,
        *,
        pages_max: int = PAGES_MAX,
        bytes_max: int = PAGES_BYTES_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._pages_max = pages_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._monotonic = monotonic
        self._pages: dict[str, Page] = {}
        self._checks: dict[UUID, asyncio.Future[_Checked]] = {}
        self._batches: Batcher[UUID, _Checked] = Batcher(
            self._check_all, batch_size_max=CHECKED_AT_ONCE_MAX, queue_max=CHECKS_WAITING_MAX, name="drop pages"
        )
        self._latest = clock.now()
        self._said_time: HeaderLines = ()
        self._said_until = float("-inf")

    def __len__(self) -> int:
        return len(self._pages)

    def at_hand(self, path_id: str) -> Page | None:
        """The public page with this id, if it can be served at once."""
        page = self._pages.get(path_id)
        if page is None:
            return None
        at = self._monotonic()
        if at < page.good_until:
            page.asked_for = True
            return page
        return self._nearly_at_hand(page, at)

    async def find(self, path_id: str) -> Page | None:
        """The page with this id as it is now or was a moment ago, a draft's too; None where there is no such drop.

        Errors of the database are raised: nothing is served that is older than promised.
        """
        drop_id = parse_id(path_id)
        if drop_id is None:
            return None
        arrived_at = self._monotonic()
        while (page := self.at_hand(str(drop_id))) is None:
            checked = await self._checked(drop_id)
            if checked.sent_at >= arrived_at:
                return checked.page
        return page

    async def shown(self, drop_id: UUID) -> DropShown:
        """The drop's page, read after now: what its creator is answered who has just changed it.

        Raises `DropNotFound`. From then on this process serves nothing older.
        """
        asked_at = self._monotonic()
        checked = await self._checked(drop_id)
        while checked.sent_at < asked_at:
            checked = await self._checked(drop_id)
        if checked.page is None:
            raise DropNotFound
        return shown(checked.page.drop, checked.page.creator, checked.page.phase)

    def time_header(self) -> HeaderLines:
        """X-Server-Time: the database's time, in milliseconds; made once for each of them."""
        at = self._monotonic()
        if at >= self._said_until:
            now = self._now()
            self._said_time = ((b"x-server-time", rfc3339(now).encode()),)
            self._said_until = at + (1000 - now.microsecond % 1000) / 1_000_000
        return self._said_time

    async def close(self) -> None:
        await self._batches.idle()

    def _nearly_at_hand(self, page: Page, at: float) -> Page | None:
        age = at - page.checked_at
        if age >= STALE_SECONDS:
            return None
        if at >= page.turns_at:
            page.turn(self._now(), at)
        fresh = age < FRESH_SECONDS
        if not fresh:
            with contextlib.suppress(Busy):
                self._check(page.drop.head.drop_id)
        page.good_until = min(page.checked_at + (FRESH_SECONDS if fresh else STALE_SECONDS), page.turns_at)
        page.asked_for = True
        return page

    async def _checked(self, drop_id: UUID) -> _Checked:
        # Shielded: if this reader gives up, others may be waiting for the same check.
        return await asyncio.shield(self._check(drop_id))

    def _check(self, drop_id: UUID) -> asyncio.Future[_Checked]:
        """The check of this drop that is under way; a new one where there is none."""
        check = self._checks.get(drop_id)
        if check is None or check.done():
            check = self._checks[drop_id] = self._batches.ask(drop_id)
            check.add_done_callback(lambda done: self._checked_once(drop_id, done))
        return check

    def _checked_once(self, drop_id: UUID, check: asyncio.Future[_Checked]) -> None:
        if self._checks.get(drop_id) is check:
            del self._checks[drop_id]
        if not check.cancelled():
            check.exception()  # whoever waited has it; nobody may have waited

    async def _check_all(self, drop_ids: Sequence[UUID]) -> list[_Checked | BaseException]:
        known = {drop_id: page for drop_id in drop_ids if (page := self._pages.get(str(drop_id)))}
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), self._database.connection() as connection:
            sent_at = self._monotonic()
            versions = await self._versions(connection, drop_ids)
            newer = [
                drop_id
                for drop_id, version in versions.items()
                if drop_id not in known or known[drop_id].version < version
            ]
            read = await self._read(connection, newer, sent_at) if newer else {}
        for drop_id in drop_ids:
            if drop_id in read:
                self._keep(read[drop_id])
            elif drop_id not in versions:
                self._pages.pop(str(drop_id), None)
            elif drop_id in known:
                known[drop_id].keep(sent_at, self._now(), self._monotonic())
        found = known | read
        return [_Checked(found[drop_id] if drop_id in versions else None, sent_at) for drop_id in drop_ids]

    async def _versions(self, connection: Connection, drop_ids: Sequence[UUID]) -> dict[UUID, int]:
        asked_at = time.monotonic()
        versions, now = await store.versions(connection, drop_ids)
        if now is not None:
            self._clock.heard(now, asked_at)
        return versions

    async def _read(self, connection: Connection, drop_ids: Sequence[UUID], sent_at: float) -> dict[UUID, Page]:
        drops, _ = await store.drops_by_id(connection, drop_ids)
        creators = await follows.creators_by_id(connection, list({drop.head.creator_id for drop in drops.values()}))
        now, at = self._now(), self._monotonic()
        return {
            drop_id: Page(drop, follows.card(creators[drop.head.creator_id]), sent_at, now, at)
            for drop_id, drop in drops.items()
        }

    def _keep(self, page: Page) -> None:
        """Takes the page in, instead of an older one. Drafts are not kept: each reader is looked at."""
        if not page.drop.head.published:
            return
        name = str(page.drop.head.drop_id)
        if name not in self._pages and len(self._pages) >= self._pages_max:
            self._let_one_go()
        before = self._pages.get(name)
        self._pages[name] = page
        self._bytes += page.size_bytes - (before.size_bytes if before else 0)
        while self._bytes > self._bytes_max:
            self._let_one_go()

    def _let_one_go(self) -> None:
        """Lets the first page go that nobody asked for since it was last looked at here ("second chance")."""
        while True:
            name, page = next(iter(self._pages.items()))
            self._let_go(name)
            if not page.asked_for:
                return
            page.asked_for = False
            self._pages[name] = page  # behind all others
            self._bytes += page.size_bytes

    def _let_go(self, name: str) -> None:
        page = self._pages.pop(name, None)
        if page is not None:
            self._bytes -= page.size_bytes

    def _now(self) -> datetime:
        """The database's time; a page that turned live doesn't turn back because a reading was a little early."""
        now = self._clock.now()
        if now > self._latest or self._latest - now > STEP_BACK:
            self._latest = now
        return self._latest
