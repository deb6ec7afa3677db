"""The log: one line per event on stderr, JSON in production, for people in development; secrets are hidden."""

from __future__ import annotations

import logging
import re
import sys

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRET_NAMES = re.compile(r"secret|password|token|authorization|cookie|api_?key|signature", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(://[^/\s:@]*):[^/\s@]*@")
_HIDDEN = "[hidden]"


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
