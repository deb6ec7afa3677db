"""Problem documents (RFC 9457): the one way in which this API says no."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from livedrop.kit.refusals import InvalidFields, Refusal

MEDIA_TYPE = b"application/problem+json"


class FieldError(msgspec.Struct):
    """One field that can't be accepted: its path (`variants.0.sku`) and why."""

    field: str
    message: str


class Problem(msgspec.Struct, omit_defaults=True):
    """The body of every 4xx and 5xx answer; `code` is stable, `request_id` finds the request in the logs."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    retry_after_seconds: int | None = None
    available: int | None = None
    limit: int | None = None
    held: int | None = None
    starts_at: Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})] | None = None
    errors: list[FieldError] | None = None


class MalformedBody(Refusal):
    """The body is not what was announced: not JSON, not UTF-8, or nested too deeply."""

    code, status = "malformed_body", 400


class MalformedRequest(Refusal):
    """The request's form is wrong."""

    code, status = "malformed_request", 400


class BodyTooLarge(Refusal):
    """The body is larger than 64 KiB."""

    code, status = "body_too_large", 413


class UnsupportedMediaType(Refusal):
    """A body must be sent as application/json."""

    code, status = "unsupported_media_type", 415


class MethodNotAllowed(Refusal):
    """This address does not take that method."""

    code, status = "method_not_allowed", 405

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(f"It takes {', '.join(allowed)}.")
        self.more_headers["Allow"] = ", ".join(allowed)  # RFC 9110 §15.5.6


class RateLimited(Refusal):
    """Too many tries; wait before the next one."""

    code, status = "rate_limited", 429

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"Try again in {retry_after_seconds} s.", retry_after_seconds=retry_after_seconds)


class InternalError(Refusal):
    """Something is wrong on our side; the request id finds it in the logs."""

    code, status = "internal_error", 500


def document(refusal: Refusal, request_id: str) -> dict[str, Any]:
    return {
        "type": f"/docs/errors#{refusal.code}",
        "title": refusal.title(),
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "request_id": request_id,
        **refusal.members,
    }


def headers(refusal: Refusal) -> dict[str, str]:
    """The answer's extra headers; a member `retry_after_seconds` is said as Retry-After too (RFC 9110 §10.2.3)."""
    found = refusal.headers | refusal.more_headers
    if "retry_after_seconds" in refusal.members:
        found["Retry-After"] = str(refusal.members["retry_after_seconds"])
    return found


def invalid(error: msgspec.ValidationError) -> InvalidFields:
    """The refusal for a body that is JSON but not of the right shape: `Expected … - at `$.quantity``.

    Of a map, msgspec names the map only: `$.attributes[...]`, or `key` in `$.attributes`.
    """
    message, _, place = str(error).partition(" - at `")
    path = place.rpartition("$")[2].replace("[...]", "")
    field = path.rstrip("`").replace("[", ".").replace("]", "").lstrip(".")
    if not field and "`" in message and ("unknown field" in message or "missing required field" in message):
        field = message.rsplit("`", 2)[1]
    return InvalidFields((field, message))
