"""How each operation may say no, in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from livedrop.kit.refusals import InvalidFields, NotFound, Refusal
from livedrop.web import problems
from livedrop.web.guards import AuthRequired
from livedrop.web.keys import KeyInvalid, KeyReused, RequestInProgress
from livedrop.web.openapi_shapes import operations
from livedrop.web.pages import BadCursor

_BODY = (problems.MalformedBody, problems.BodyTooLarge, problems.UnsupportedMediaType, InvalidFields)
_KEY = (KeyInvalid, KeyReused, RequestInProgress)


def say_refusals(application: Litestar, document: dict[str, Any], problem: dict[str, Any]) -> None:
    """Every operation may refuse, always in the same shape; Litestar's own idea of a 400 is taken out.

    What an operation's parts entail is known; what its slice refuses besides, the handler says in
    `opt={"refuses": (SkuTaken, …)}`.
    """
    content = {"application/problem+json": {"schema": problem}}
    for operation, handler in operations(application, document):
        codes = sorted({f"`{kind.code}`" for kind in _refused(operation, handler)})
        reasons = f": {', '.join(codes)}" if codes else ""
        answers = operation["responses"]
        answers.pop("400", None)
        answers["4XX"] = {"description": f"Refused; `code` says why{reasons}", "content": content}
        answers["503"] = {"description": "`busy`, or the database is away: `unavailable`", "content": content}


def _refused(operation: dict[str, Any], handler: HTTPRouteHandler) -> list[type[Refusal]]:
    kinds: list[type[Refusal]] = list(handler.opt.get("refuses", ()))
    parameters = operation.get("parameters", [])
    if operation.get("security"):
        kinds.append(AuthRequired)
    if "requestBody" in operation:
        kinds += _BODY
    if any(parameter["in"] == "path" for parameter in parameters):
        kinds.append(NotFound)
    if any(parameter["in"] == "query" for parameter in parameters):
        kinds.append(InvalidFields)
    if any(parameter["name"] == "after" for parameter in parameters):
        kinds.append(BadCursor)
    if any(parameter["name"] == "Idempotency-Key" for parameter in parameters):
        kinds += _KEY
    return kinds
