"""The shapes of bodies, answers and parameters in the OpenAPI document, as msgspec reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

_REFERENCES = "#/components/schemas/{name}"


def say_shapes_exactly(application: Litestar, document: dict[str, Any], *others: Any) -> list[Any]:
    """Puts msgspec's own schemas where Litestar guessed: it loses bounds of 0, the bounds of list items and what a
    docstring says, and makes a number that is whole fit none of `integer | number`.

    Returns the schemas of `others`, types that are to be among the components too.
    """
    places: list[tuple[dict[str, Any], Any]] = []
    for operation, handler in operations(application, document):
        places += _places(operation, handler)
        for parameter in operation.get("parameters", []):
            _say_bounds(parameter, handler)
    types = [kind for _, kind in places] + list(others)
    schemas, definitions = msgspec.json.schema_components(types, ref_template=_REFERENCES)
    for (content, _), schema in zip(places, schemas, strict=False):
        content["schema"] = schema
    document["components"]["schemas"] = dict(definitions)
    return list(schemas)[len(places) :]


def operations(application: Litestar, document: dict[str, Any]) -> Iterator[tuple[dict[str, Any], HTTPRouteHandler]]:
    """Each operation of the document with the handler that it describes."""
    for route in application.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    operation = document["paths"].get(route.path_format, {}).get(method.lower())
                    if operation is not None:
                        yield operation, handler


def _places(operation: dict[str, Any], handler: HTTPRouteHandler) -> Iterator[tuple[dict[str, Any], Any]]:
    """Where the operation shows a body or an answer, and the type of it."""
    body = handler.parsed_data_field
    if body is not None:
        operation["requestBody"]["required"] = body.is_required
        yield operation["requestBody"]["content"]["application/json"], body.annotation
    types = {handler.status_code: _answered(handler.parsed_return_field)}
    types |= {status: answer.data_container for status, answer in (handler.responses or {}).items()}
    for status, kind in types.items():
        content = operation["responses"].get(str(status), {}).get("content", {}).get("application/json")
        if content is not None and kind is not None:
            yield content, kind


def _answered(field: FieldDefinition) -> Any:
    """What is inside a `Response[…]`, or the type itself."""
    inner = field.inner_types[0] if field.is_subclass_of(Response) else field
    return None if inner.is_any or inner.annotation in (None, type(None), bytes) else inner.annotation


def _say_bounds(parameter: dict[str, Any], handler: HTTPRouteHandler) -> None:
    """A parameter can be left out but can't be null, and a bound of 0 is one."""
    schema = parameter["schema"]
    if "oneOf" in schema:
        choices = [choice for choice in schema.pop("oneOf") if choice != {"type": "null"}]
        schema |= choices[0] if len(choices) == 1 else {"anyOf": choices}
    for field in handler.parsed_fn_signature.parameters.values():
        asked = field.kwarg_definition
        if isinstance(asked, ParameterKwarg) and parameter["name"] in (asked.name, field.name):
            bounds = {"minimum": asked.ge, "maximum": asked.le}
            schema |= {name: bound for name, bound in bounds.items() if bound is not None}
