"""The log: one line per event on stderr, JSON in production, for people in development; secrets are hidden."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Callable

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET_NAMES = re.compile(r"secret|password|token|authorization|cookie|api_?key|signature", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(://[^/\s:@]*):[^/\s@]*@")
_HIDDEN = "[hidden]"
KINDS_MAX = 1_000


def configure(process: str, *, level: str, development: bool) -> None:
    """Sets up structlog, and leads what libraries say through `logging` into it. `process` names every line."""
    lowest: int = logging.getLevelNamesMapping()[level.upper()]

    def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            name_process,
            structlog.processors.add_log_level,
            OnceASecond(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            hide_secrets,
            _for_people() if development else structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=max(lowest, logging.WARNING), force=True)


class OnceASecond:
    """Lets one warning of a kind through a second, with the number of those held back: a database that is away
    would otherwise fill the disk with a line for each request."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}  # by the event's name: as many as there are in the code
        self._held_back: Counter[str] = Counter()

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if method != "warning":
            return event
        name, now = str(event["event"]), self._clock()
        if now < self._next.get(name, 0.0):
            self._held_back[name] += 1
            raise structlog.DropEvent
        if len(self._next) >= KINDS_MAX:
            self._next.clear()
        self._next[name] = now + 1.0
        if held_back := self._held_back.pop(name, 0):
            event["held_back"] = held_back
        return event


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces values whose names tell that they are secret, and passwords within URLs."""
    for name, value in event.items():
        if _SECRET_NAMES.search(name):
            event[name] = _HIDDEN
        elif isinstance(value, str) and "://" in value:
            event[name] = _PASSWORD_IN_URL.sub(rf"\1:{_HIDDEN}@", value)
    return event


class _ToStructlog(logging.Handler):
    """Takes what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(record.name).log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
        )


def _for_people() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, sort_keys=False)


def _json(event: EventDict, **_options: object) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
