"""The OpenAPI document (3.1): Litestar's description of its routes, with the hot ones and the problems added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Litestar, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme, Server
from litestar.types import ControllerRouterHandler

from livedrop import __version__
from livedrop.web.openapi_refusals import say_refusals
from livedrop.web.openapi_shapes import say_shapes_exactly
from livedrop.web.problems import Problem

_ABOUT = (
    "Live drops: a limited number of things, sold at an announced second. Every refusal is a problem document "
    "(RFC 9457) with a stable `code`; see /docs/errors."
)


def openapi_document(handlers: Sequence[ControllerRouterHandler]) -> dict[str, Any]:
    """The document of these handlers, mounted at /api/v1; hot routes are there as their described twins."""
    described = Litestar(
        [Router("/api/v1", route_handlers=list(handlers))],
        openapi_config=OpenAPIConfig(
            title="LiveDrop",
            version=__version__,
            description=_ABOUT,
            servers=[Server(url="/")],
            use_handler_docstrings=True,
            components=[
                Components(
                    security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
                )
            ],
        ),
        logging_config=None,
    )
    document: dict[str, Any] = msgspec.to_builtins(
        msgspec.json.decode(msgspec.json.encode(described.openapi_schema.to_schema()))
    )
    (problem,) = say_shapes_exactly(described, document, Problem)
    say_refusals(described, document, problem)
    return document
