"""PostgreSQL's clock, as seen from this process."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

# How far two clocks may drift apart, as a share of the time that passes; generous, so that a clock that was set is
# followed within seconds.
DRIFT_MAX = 0.01


class DatabaseClock:
    """Tells PostgreSQL's time without asking each time.

    Every reading of `clock_timestamp()` that passes by corrects it; between readings it runs on the monotonic
    clock. Good for headers and for choosing a page's phase; whether an order is in time is decided by
    PostgreSQL's own reading, under the lock.
    """

    def __init__(self) -> None:
        self._zero = datetime.now(UTC) - timedelta(seconds=time.monotonic())
        self._doubt_seconds = float("inf")
        self._heard_at = 0.0

    def heard(self, database_now: datetime, asked_at: float) -> None:
        """Takes in a reading of the database's clock; `asked_at` is `time.monotonic()` before the question.

        The reading was made between the question and now: the middle of the two is the best guess, in doubt by
        half of their distance. A reading that is more in doubt than what is known is passed over, until what is
        known has grown old.
        """
        at = time.monotonic()
        doubt_seconds = (at - asked_at) / 2
        if doubt_seconds > self._doubt_seconds + (at - self._heard_at) * DRIFT_MAX:
            return
        self._zero = database_now - timedelta(seconds=(asked_at + at) / 2)
        self._doubt_seconds, self._heard_at = doubt_seconds, at

    def now(self) -> datetime:
        return self._zero + timedelta(seconds=time.monotonic())


@lru_cache(maxsize=4_096)
def rfc3339(moment: datetime) -> str:
    """`2026-01-31T09:00:00.000Z`: RFC 3339, UTC, milliseconds (cut, not rounded, so no time lies in the future)."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def rfc3339_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
