"""Cross-origin requests from the browsers of named origins (the Fetch standard's CORS protocol)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

PREFLIGHT_SECONDS = b"600"
_METHODS = b"GET, POST, PUT, PATCH, DELETE"
_ASKED = b"authorization, content-type, idempotency-key, if-none-match, x-request-id"
_SHOWN = b"etag, idempotent-replayed, retry-after, x-request-id, x-server-time"


def cross_origin(application: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """The application, open to exactly these origins (`https://shop.example`); unchanged where there are none."""
    if not origins:
        return application
    allowed = frozenset(origin.rstrip("/").encode() for origin in origins)

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        origin = headers.get(b"origin")
        if scope["type"] != ScopeType.HTTP or origin is None or origin not in allowed:
            await application(scope, receive, send)
            return
        granted = [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _SHOWN),
            (b"vary", b"Origin"),
        ]
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _preflight(send, granted)
            return

        async def send_granted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *granted]
            await send(message)

        await application(scope, receive, send_granted)

    return opened


async def _preflight(send: Send, granted: list[tuple[bytes, bytes]]) -> None:
    start: Any = {
        "type": "http.response.start",
        "status": 204,
        "headers": [
            *granted,
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _ASKED),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
        ],
    }
    await send(start)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
