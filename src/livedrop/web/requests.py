"""A request as plain data, and its answer: what hot routes take and give, and what the rest borrows."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
from litestar import Response
from litestar.types import HTTPScope, Receive, Send

from livedrop.kit.ids import new_id, parse_id
from livedrop.kit.refusals import NotFound, Refusal
from livedrop.web import problems

BODY_BYTES_MAX = 64 * 1024
_SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}").fullmatch
_JSON = b"application/json"

Shape = TypeVar("Shape")


class Request:
    """One HTTP request with its body read. Header names are lower case; of repeated headers the last one counts."""

    __slots__ = ("body", "headers", "id", "path_ids", "query", "repeated")

    def __init__(self, scope: HTTPScope, request_id: str, path_ids: tuple[str, ...]) -> None:
        headers = cast("Collection[tuple[bytes, bytes]]", scope["headers"])
        self.headers: dict[bytes, bytes] = dict(headers)
        self.repeated = () if len(self.headers) == len(headers) else _repeated(headers)
        self.id = request_id
        self.path_ids = path_ids
        self.query: bytes = scope["query_string"]
        self.body = b""

    def path_id(self, index: int = 0) -> UUID:
        """The id in the path; what is no id names nothing (404)."""
        parsed = parse_id(self.path_ids[index])
        if parsed is None:
            raise NotFound
        return parsed


def _repeated(headers: Collection[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
    names = [name for name, _ in headers]
    return tuple({name for name in names if names.count(name) > 1})


class Answer:
    """Status, body, and headers beyond Content-Type, Content-Length and X-Request-Id."""

    __slots__ = ("body", "headers", "media_type", "status")

    def __init__(
        self,
        body: bytes,
        status: int = 200,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        media_type: bytes = _JSON,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.media_type = media_type


def refused(refusal: Refusal, request_id: str) -> Answer:
    return Answer(
        msgspec.json.encode(problems.document(refusal, request_id)),
        refusal.status,
        tuple((name.lower().encode(), value.encode()) for name, value in problems.headers(refusal).items()),
        problems.MEDIA_TYPE,
    )


def request_id_of(scope: HTTPScope) -> str:
    """The client's X-Request-Id if it is sane, a new one otherwise."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_REQUEST_ID(value):
            return value.decode()
    return str(new_id())


def require_json(headers: dict[bytes, bytes]) -> None:
    """Refuses a body that is not announced as JSON (parameters such as charset=utf-8 are fine)."""
    media_type = headers.get(b"content-type", b"")
    if media_type != _JSON and media_type.split(b";")[0].strip().lower() != _JSON:
        raise problems.UnsupportedMediaType


async def read_body(receive: Receive) -> bytes:
    """The whole body, at most 64 KiB."""
    message = await receive()
    if message["type"] != "http.request":
        raise ConnectionAbortedError("the client went away")
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        if len(body) > BODY_BYTES_MAX:
            break
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionAbortedError("the client went away")
        body += message.get("body", b"")
    if len(body) > BODY_BYTES_MAX:
        raise problems.BodyTooLarge
    return body


def decode(decoder: msgspec.json.Decoder[Shape], body: bytes) -> Shape:
    """The body as its type; 400 where it is no JSON, 422 where it is JSON of another shape."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise problems.invalid(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise problems.MalformedBody(f"The body is not valid JSON: {error}.") from None
    except RecursionError:
        raise problems.MalformedBody("The body is nested too deeply.") from None


async def send_answer(send: Send, answer: Answer, request_id: str) -> None:
    headers: list[tuple[bytes, bytes]] = [
        (b"x-request-id", request_id.encode()),
        *answer.headers,
    ]
    if answer.status not in (204, 304):
        headers.append((b"content-type", answer.media_type))
        headers.append((b"content-length", str(len(answer.body)).encode()))
    start: Any = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    body: Any = {"type": "http.response.body", "body": answer.body}
    await send(body)


def as_response(answer: Answer, shape: type[Shape]) -> Response[Shape]:
    """An answer that was encoded already, for a Litestar handler; `shape` is what its body says."""
    return Response(
        cast("Shape", answer.body),
        status_code=answer.status,
        media_type=answer.media_type.decode(),
        headers={name.decode(): value.decode() for name, value in answer.headers},
    )
