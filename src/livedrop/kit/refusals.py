"""A refusal: an answer of "no" that a user can act on. Each slice owns its own types of it."""

from __future__ import annotations

from typing import Any, ClassVar


class Refusal(Exception):
    """The request can't be fulfilled.

    A subclass's docstring is the title that the user reads; `code` is stable; `status` is the HTTP status.
    `detail` says what to do; `members` join the problem document (RFC 9457 §3.2); `headers`, and an
    instance's `more_headers`, the answer's headers.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 400
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str | None = None, **members: Any) -> None:
        super().__init__(detail or self.title())
        self.detail = detail or self.title()
        self.members = members
        self.more_headers: dict[str, str] = {}

    @classmethod
    def title(cls) -> str:
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]


class NotFound(Refusal):
    """There is nothing here, or it is not yours to see."""

    code, status = "not_found", 404


class Forbidden(Refusal):
    """You may not do this."""

    code, status = "forbidden", 403


class InvalidFields(Refusal):
    """Some fields have values that can't be accepted."""

    code, status = "invalid_fields", 422

    def __init__(self, *errors: tuple[str, str], detail: str | None = None) -> None:
        """`errors`: pairs of a field's path (`variants.0.sku`) and what is wrong with it."""
        said = detail or "; ".join(f"{field}: {message}" if field else message for field, message in errors)
        super().__init__(said, errors=[{"field": field, "message": message} for field, message in errors])


class Busy(Refusal):
    """More is being asked than can be settled at once; try again in a moment."""

    code, status = "busy", 503
    headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, retry_after_seconds=1)


class Unavailable(Refusal):
    """The database can't be reached or takes no writes; nothing was changed that you were not told of."""

    code, status = "unavailable", 503
    headers: ClassVar[dict[str, str]] = {"Retry-After": "2"}

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or "Try again with the same Idempotency-Key.", retry_after_seconds=2)
