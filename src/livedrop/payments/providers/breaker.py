"""A breaker: after many calls in a row without an answer, a provider is taken to be down for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES_MAX = 20
# A refused connection is no slow or scripted charge, it is an address where nobody listens.
REFUSED_COUNTS_AS = 5
WINDOW_SECONDS = 10.0
OPEN_SECONDS = 2.0
# While it is half open this many calls find out together; one alone might be a slow card's.
PROBES_MAX = 32


class Breaker:
    """Open: known to be down. When its time is over the next calls, up to 32 at once, are probes, and while those are
    under way all others still see it open; an opening that nothing followed for 10 s is forgotten. Any answer to any
    call closes it; a call that fails counts only if nobody got an answer while it waited, since slow charges alone
    don't mean that the provider is down. `clock` in seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._first_failure_at = 0.0
        self._answered_at = float("-inf")
        self._probe_from: float | None = None  # None: closed
        self._probes = 0

    @property
    def is_open(self) -> bool:
        if self._probe_from is None:
            return False
        now = self._clock()
        if now > self._probe_from + WINDOW_SECONDS:
            self._probe_from = None  # long ago: whoever comes now is not made to pay for it
            return False
        return now < self._probe_from or self._probes >= PROBES_MAX

    def calling(self) -> float:
        """A call begins; returns when, for `failed`."""
        now = self._clock()
        if self._probe_from is not None and not self.is_open:
            self._probes += 1
        return now

    def answered(self) -> None:
        self._answered_at = self._clock()
        self._failures = 0
        self._probe_from = None

    def failed(self, began: float, *, refused: bool) -> None:
        """A call got no answer; `refused`: not even a connection."""
        now = self._clock()
        if self._answered_at > began:
            return
        if self._probe_from is not None:
            if now >= self._probe_from:
                self._open(now)
            return
        if now - self._first_failure_at > WINDOW_SECONDS:
            self._failures = 0
        if self._failures == 0:
            self._first_failure_at = now
        self._failures += REFUSED_COUNTS_AS if refused else 1
        if self._failures >= FAILURES_MAX:
            self._open(now)

    def _open(self, now: float) -> None:
        self._probe_from = now + OPEN_SECONDS
        self._probes = 0
        self._failures = 0
