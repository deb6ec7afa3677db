"""The whole HTTP application: hot routes first, Litestar behind them, one way to fail for both."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import msgspec
import structlog
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler, HTTPScope, Message, Receive, Scope, Send

from livedrop.kit.database import is_away, is_contended
from livedrop.kit.refusals import Busy, InvalidFields, NotFound, Refusal, Unavailable
from livedrop.web import problems
from livedrop.web.bodies import StrictRequest
from livedrop.web.keys import KeyInvalid
from livedrop.web.requests import (
    Answer,
    Request,
    read_body,
    refused,
    request_id_of,
    require_json,
    send_answer,
)

log = structlog.get_logger("livedrop.web")

Handle = Callable[[Request], Awaitable[Answer]]
_BASES = ("/api/v1", "/api")


class HotRoute(msgspec.Struct, frozen=True):
    """A route that a crowd calls: a plain handler from Request to Answer, without a framework's share per request.

    `path` has at most one id, written `{id}`: `/orders`, `/drops/{id}/stock`. `described` is a Litestar handler
    of the same path that is never called: it stands for this route in the OpenAPI document.
    """

    method: str
    path: str
    handle: Handle
    described: ControllerRouterHandler | None = None


class Application:
    """ASGI: hot routes from a table, everything else by Litestar; both end in the same problem documents."""

    def __init__(self, hot_routes: Sequence[HotRoute], litestar: Litestar) -> None:
        self._litestar = litestar
        self._methods = _methods_by_path(hot_routes, litestar)
        self.answered: dict[int, int] = {}  # status → how many, for /metrics
        self._whole: dict[tuple[str, str], Handle] = {}  # (method, path)
        self._with_id: dict[tuple[str, str, str], Handle] = {}  # (method, before the id, after the id)
        for route in hot_routes:
            for base in _BASES:
                before, found, after = (base + route.path).partition("{id}")
                if found:
                    self._with_id[route.method, before, after] = route.handle
                else:
                    self._whole[route.method, before] = route.handle
        # From "/api/drops/" to the length of what comes before the id.
        self._before = sorted({before for _, before, _ in self._with_id}, key=len, reverse=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            await self._http(scope, receive, send)
        else:
            await self._litestar(scope, receive, send)

    async def _http(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        request_id = request_id_of(scope)
        matched = self._match(scope["method"], scope["path"])
        if matched is None:
            await self._by_litestar(scope, receive, send, request_id)
            return
        handle, path_ids = matched
        request = Request(scope, request_id, path_ids)
        try:
            if scope["method"] == "POST":
                request.body = await read_body(receive)
                if request.body:
                    require_json(request.headers)
            answer = await handle(request)
        except ConnectionAbortedError:
            return
        except Exception as error:
            answer = refused(refusal_for(error, request_id), request_id)
        self._count(answer.status)
        await send_answer(send, answer, request_id)

    def _count(self, status: int) -> None:
        self.answered[status] = self.answered.get(status, 0) + 1

    def _match(self, method: str, path: str) -> tuple[Handle, tuple[str, ...]] | None:
        handle = self._whole.get((method, path))
        if handle is not None:
            return handle, ()
        for before in self._before:
            if path.startswith(before):
                start = len(before)
                end = path.find("/", start)
                if end < 0:
                    end = len(path)
                handle = self._with_id.get((method, before, path[end:]))
                # An id has 36 characters; `/drops/live` is not a drop's page.
                if handle is not None and end - start == 36:
                    return handle, (path[start:end],)
        return None

    def _allowed(self, path: str) -> list[str]:
        """The methods that any route takes at this path."""
        return sorted({method for pattern, methods in self._methods if pattern(path) for method in methods})

    async def _tell_allowed(self, send: Send, allowed: list[str], request_id: str) -> None:
        """Litestar would name its own methods only, and some paths are shared with hot routes."""
        self._count(204)
        await send_answer(send, Answer(b"", 204, ((b"allow", ", ".join(allowed).encode()),)), request_id)

    async def _by_litestar(self, scope: HTTPScope, receive: Receive, send: Send, request_id: str) -> None:
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._count(message["status"])
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        path: str = scope["path"]
        if path.startswith("/api/") and not path.startswith("/api/v1/"):
            scope["path"] = "/api/v1" + path[4:]
            scope["raw_path"] = scope["path"].encode()
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        try:
            _refuse_nul(scope)
            if scope["method"] == "OPTIONS" and (allowed := self._allowed(scope["path"])):
                await self._tell_allowed(send, allowed, request_id)
                return
            _refuse_two_keys(scope)
            body_receive = await _checked_body(scope, receive)
            await self._litestar(scope, body_receive, send_with_id)
        except ConnectionAbortedError:
            return
        except Exception as error:
            if started:
                raise
            refusal = refusal_for(error, request_id)
            # Litestar knows nothing of hot routes, so its "not found" may be a "not with this method".
            if isinstance(error, NotFoundException | MethodNotAllowedException):
                allowed = self._allowed(scope["path"])
                # An id that is none (`/orders/x`) is "not found" even where the method is right.
                wrong_method = allowed and scope["method"] not in allowed
                refusal = problems.MethodNotAllowed(allowed) if wrong_method else NotFound()
            self._count(refusal.status)
            await send_answer(send, refused(refusal, request_id), request_id)


def _methods_by_path(
    hot_routes: Sequence[HotRoute], litestar: Litestar
) -> list[tuple[Callable[[str], object], set[str]]]:
    paths = [("/api/v1" + route.path, {route.method, "OPTIONS"}) for route in hot_routes]
    paths += [(route.path, set(route.methods)) for route in litestar.routes if isinstance(route, HTTPRoute)]
    return [(_pattern(path), methods) for path, methods in paths]


def _pattern(path: str) -> Callable[[str], object]:
    """`/drops/{id}` and `/drops/{drop_id:uuid}` are no `/drops/live`."""
    with_ids = re.sub(r"\{(id|[^}]*:uuid)\}", "[0-9a-fA-F-]{36}", path)
    return re.compile(re.sub(r"\{[a-z_]+(:str)?\}", "[^/]+", with_ids)).fullmatch


def framework(handlers: Sequence[ControllerRouterHandler]) -> Litestar:
    """Litestar as we use it: bodies read strictly, errors left to `Application`, the document made elsewhere."""
    return Litestar(
        handlers,
        request_class=StrictRequest,
        exception_handlers={Exception: _raise},
        openapi_config=None,
        logging_config=None,
    )


def _raise(_: object, error: Exception) -> NoReturn:
    raise error


def _refuse_nul(scope: HTTPScope) -> None:
    """PostgreSQL's text can't hold U+0000, so nothing is named by it and nothing is found by it."""
    if "\0" in scope["path"]:
        raise NotFound
    if b"%00" in scope["query_string"]:
        raise InvalidFields(("", "the query can't hold the character U+0000"))


def _refuse_two_keys(scope: HTTPScope) -> None:
    if sum(name == b"idempotency-key" for name, _ in scope["headers"]) > 1:
        raise KeyInvalid("Send one Idempotency-Key, not several.")


async def _checked_body(scope: HTTPScope, receive: Receive) -> Receive:
    """Reads and bounds the body before Litestar does, so that all routes refuse size and type alike."""
    if scope["method"] not in {"POST", "PUT", "PATCH", "DELETE"}:
        return receive
    body = await read_body(receive)
    if body:
        require_json(dict(scope["headers"]))
    given = False

    async def replay() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def refusal_for(error: BaseException, request_id: str) -> Refusal:
    """What the user reads of this error. Only what is our own fault becomes a 500, and is logged with its trace."""
    match error:
        case Refusal():
            return error
        case ValidationException():
            return _invalid(error)
        case NotFoundException():
            return NotFound()
        case ClientException():
            return problems.MalformedBody(error.detail)
        case HTTPException() if error.status_code < 500:
            return problems.MalformedRequest(error.detail)
        case _ if is_away(error):
            log.warning("database_away", request_id=request_id, error=repr(error))
            return Unavailable()
        case _ if is_contended(error):
            return Busy("Others are changing the same thing; try again in a moment.")
    log.error("request_failed", request_id=request_id, exc_info=error)
    return problems.InternalError()


def _invalid(error: ValidationException) -> Refusal:
    extra = error.extra if isinstance(error.extra, list) else []
    pairs = [_pair(item) for item in extra]
    return InvalidFields(*pairs) if pairs else InvalidFields(("", error.detail))


def _pair(item: dict[str, Any]) -> tuple[str, str]:
    key, message = str(item.get("key", "")), str(item.get("message", ""))
    # Litestar calls the whole body `data`; all that can be wrong with it as such is that it is missing.
    return ("", "a JSON body is required") if key == "data" else (key, message)
