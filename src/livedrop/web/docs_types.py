"""A JSON schema of the OpenAPI document in a few words, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

# What comes out of the document is JSON of the specification's making: a mapping, read where it is shown.
Node = Mapping[str, Any]

VALUES_MAX = 12  # of an enumeration, that are shown

# What JSON Schema bounds (`minLength`, `maxItems`, …), and the unit to say after the figures.
_COUNTED = {"imum": "", "Length": " characters", "Items": " items", "Properties": " entries"}


def type_of(schema: Node) -> str:
    """A schema in a few words, as HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"<a href='#{escape(shape_anchor(name))}'>{escape(shape_name(name))}</a>"
    choices = schema.get("oneOf") or schema.get("anyOf")
    if choices:
        return " or ".join(dict.fromkeys(type_of(choice) for choice in choices)) + _bounds(schema)
    if "enum" in schema:
        values = [f"<code>{escape(str(value))}</code>" for value in schema["enum"]]
        more = f" | … ({len(values)} values)" if len(values) > VALUES_MAX else ""
        return " | ".join(values[:VALUES_MAX]) + more
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    kinds = schema.get("type", "anything")
    kind = " or ".join(kinds) if isinstance(kinds, list) else str(schema.get("format", kinds))
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}{_bounds(schema)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"map to {type_of(schema['additionalProperties'])}{_bounds(schema)}"
    return escape(kind) + _bounds(schema)


def _bounds(schema: Node) -> str:
    said = [_range(schema, noun) for noun in _COUNTED if _range(schema, noun)]
    if schema.get("default") not in (None, "", [], {}):
        said.append(f"default {escape(str(schema['default']))}")
    return f" <span class=soft>{', '.join(said)}</span>" if said else ""


def _range(schema: Node, counted: str) -> str:
    least, most = schema.get(f"min{counted}"), schema.get(f"max{counted}")
    if least is None and most is None:
        return ""
    return f"{_number(least)}…{_number(most)}{_COUNTED[counted]}"


def _number(bound: float | None) -> str:
    return "" if bound is None else f"{bound:,.0f}"


def shape_name(name: str) -> str:
    """A component's name to read: `Page_Product_` is a page of products."""
    generic, _, inner = name.rstrip("_").partition("_")
    return f"{generic} of {inner}" if inner else generic


def shape_anchor(name: str) -> str:
    return f"shape-{name}"
