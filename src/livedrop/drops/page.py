"""One drop's page as bytes, encoded once for each version and phase."""

from __future__ import annotations

from datetime import datetime

import msgspec

from livedrop.drops import rules
from livedrop.drops.drop import Drop, Phase, shown, stock_shown
from livedrop.follows import CreatorCard

FRESH_SECONDS = 0.040

HeaderLines = tuple[tuple[bytes, bytes], ...]


class Page:
    """One drop's bytes. Moments here are monotonic seconds.

    `checked_at`: before the question was sent whose answer said that this is the newest version. `good_until`: up
    to then it can be served without a second thought. `turns_at`: when the clock takes it into another phase.
    """

    __slots__ = (
        "asked_for",
        "body",
        "checked_at",
        "creator",
        "drop",
        "etag",
        "good_until",
        "headers",
        "phase",
        "size_bytes",
        "stock_body",
        "turns_at",
    )

    body: bytes
    stock_body: bytes
    etag: bytes
    headers: HeaderLines
    phase: Phase
    turns_at: float

    def __init__(self, drop: Drop, creator: CreatorCard, checked_at: float, now: datetime, at: float) -> None:
        self.drop = drop
        self.creator = creator
        self.checked_at = checked_at
        self.asked_for = False  # since the cache last looked for a page to let go
        self._encode(rules.phase_of(drop.head, drop.available, now))
        self._look_ahead(now, at)
        self.good_until = min(checked_at + FRESH_SECONDS, self.turns_at)
        self.size_bytes = len(self.body) + len(self.stock_body)

    @property
    def version(self) -> int:
        return self.drop.head.version

    def keep(self, checked_at: float, now: datetime, at: float) -> None:
        """The database says that this is still the newest version; `now` is its time at the moment `at`."""
        self.checked_at = max(self.checked_at, checked_at)
        self.turn(now, at)
        self.good_until = min(self.checked_at + FRESH_SECONDS, self.turns_at)

    def turn(self, now: datetime, at: float) -> None:
        """Goes into the phase of this moment, without asking anybody."""
        phase = rules.phase_of(self.drop.head, self.drop.available, now)
        if phase != self.phase:
            self._encode(phase)
        self._look_ahead(now, at)

    def _encode(self, phase: Phase) -> None:
        self.phase = phase
        self.body = msgspec.json.encode(shown(self.drop, self.creator, phase))
        self.stock_body = msgspec.json.encode(stock_shown(self.drop))
        self.etag = f'"{self.version}-{phase}"'.encode()
        kept_by = b"no-cache" if self.drop.head.published else b"private, no-cache"
        self.headers = ((b"etag", self.etag), (b"cache-control", kept_by))

    def _look_ahead(self, now: datetime, at: float) -> None:
        turn = rules.next_turn(self.drop.head, now)
        self.turns_at = float("inf") if turn is None else at + (turn - now).total_seconds()
