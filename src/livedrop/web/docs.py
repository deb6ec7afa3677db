"""/docs: the API to read, made from its OpenAPI document. Plain HTML, nothing from elsewhere, no script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import msgspec
from litestar import Response, get
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from livedrop.web.docs_types import Node, shape_anchor, shape_name, type_of
from livedrop.web.error_list import ErrorEntry, error_list

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_METHODS = ("get", "post", "put", "patch", "delete")
_STYLE = Path(__file__).with_name("docs.css").read_bytes()


def docs_routes(openapi: bytes) -> list[ControllerRouterHandler]:
    """The document itself and the pages made from it; call it once all slices are imported. To mount at the root."""
    errors = error_list()
    api_page = _api_page(msgspec.json.decode(openapi), {error.code for error in errors})
    errors_page = _errors_page(errors)

    @get("/", include_in_schema=False)
    async def get_root() -> Redirect:
        return Redirect("/docs")

    @get("/docs", include_in_schema=False)
    async def get_docs() -> Response[bytes]:
        return Response(api_page, media_type="text/html", headers=_HEADERS)

    @get("/docs/errors", include_in_schema=False)
    async def get_errors() -> Response[bytes]:
        return Response(errors_page, media_type="text/html", headers=_HEADERS)

    @get("/docs/style.css", include_in_schema=False)
    async def get_style() -> Response[bytes]:
        return Response(_STYLE, media_type="text/css", headers=_HEADERS)

    @get("/openapi.json", include_in_schema=False)
    async def get_document() -> Response[bytes]:
        return Response(openapi, media_type="application/json", headers=_HEADERS)

    return [get_root, get_docs, get_errors, get_style, get_document]


def _api_page(document: Node, codes: set[str]) -> bytes:
    by_tag: dict[str, list[tuple[str, str, Node]]] = {}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                tag = next(iter(operations[method].get("tags", [])), "other")
                by_tag.setdefault(tag, []).append((method, path, operations[method]))
    shapes: Node = document.get("components", {}).get("schemas", {})
    info = document["info"]
    main = [
        f"<h1>{escape(info['title'])} <span class=soft>{escape(info['version'])}</span></h1>",
        f"<p>{_prose(info.get('description', ''), codes)}</p>",
        "<p><a href=/openapi.json>OpenAPI document</a> · <a href=/docs/errors>Errors</a></p>",
    ]
    for tag, operations in by_tag.items():
        main.append(f"<section><h2>{escape(tag)}</h2>")
        main += [_operation(method, path, operation, shapes, codes) for method, path, operation in operations]
        main.append("</section>")
    main.append("<section><h2>Shapes</h2>")
    main += [_shape(name, shapes[name], codes) for name in sorted(shapes)]
    main.append("</section>")
    return _page(info["title"], _contents(by_tag), "\n".join(main))


def _errors_page(errors: Sequence[ErrorEntry]) -> bytes:
    rows = [
        f"<tr id={escape(error.code)}><th><code>{escape(error.code)}</code><td>{error.status}"
        f"<td>{'<br>'.join(_prose(meaning, set()) for meaning in error.meanings)}"
        for error in errors
    ]
    main = (
        "<h1>Errors</h1><p>Every refusal is a problem document (RFC 9457). Its <code>code</code> is stable: decide "
        "by it, and show <code>detail</code>.</p><p><a href=/docs>The API</a></p>"
        f"<table><tr><th>Code<th>Status<th>Meaning\n{chr(10).join(rows)}</table>"
    )
    links = [f"<li><a href=#{escape(error.code)}>{escape(error.code)}</a>" for error in errors]
    return _page("Errors", f"<ul>{''.join(links)}</ul>", main)


def _page(title: str, contents: str, main: str) -> bytes:
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><link rel=stylesheet href=/docs/style.css></head><body>"
        f"<div class=page><nav aria-label=Contents>{contents}</nav>\n<main>{main}</main></div></body></html>"
    ).encode()


def _contents(by_tag: Mapping[str, Sequence[tuple[str, str, Node]]]) -> str:
    parts = []
    for tag, operations in by_tag.items():
        links = [
            f"<li><a href=#{_anchor(method, path)}>{_method(method)} {escape(path.removeprefix('/api/v1'))}</a>"
            for method, path, _ in operations
        ]
        parts.append(f"<h2>{escape(tag)}</h2><ul>{''.join(links)}</ul>")
    return "".join(parts)


def _operation(method: str, path: str, operation: Node, shapes: Node, codes: set[str]) -> str:
    parts = [
        f"<article id={_anchor(method, path)}><h3>{_method(method)} <code>{escape(path)}</code></h3>",
        f"<p>{_prose(operation.get('summary', ''), codes)}</p>",
        f"<p class=soft>{_prose(operation['description'], codes)}</p>" if operation.get("description") else "",
        "<p class=soft>Sign in first: <code>Authorization: Bearer …</code></p>" if operation.get("security") else "",
    ]
    parameters = [
        (parameter["name"], f"{parameter['in']}, {type_of(parameter.get('schema', {}))}", parameter)
        for parameter in operation.get("parameters", [])
    ]
    parts.append(_table("Parameters", parameters, codes))
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(_fields(f"Body, {media_type}", body["schema"], shapes, codes))
    answers = []
    for status, answer in operation["responses"].items():
        said = [type_of(content.get("schema", {})) for content in answer.get("content", {}).values()]
        answers.append((status, ", ".join(said), {**answer, "required": True}))
    return "".join(parts) + _table("Answers", answers, codes) + "</article>"


def _shape(name: str, schema: Node, codes: set[str]) -> str:
    description = f"<p class=soft>{_prose(schema['description'], codes)}</p>" if schema.get("description") else ""
    fields = _fields("", schema, {}, codes) if "properties" in schema else f"<p>{type_of(schema)}</p>"
    heading = f"<h3>{escape(shape_name(name))}</h3>"
    return f"<article id='{escape(shape_anchor(name))}'>{heading}{description}{fields}</article>"


def _fields(caption: str, schema: Node, shapes: Node, codes: set[str]) -> str:
    """A table of an object's fields; `schema` may be a reference to one of `shapes`."""
    target = shapes.get(schema.get("$ref", "").rpartition("/")[2], schema)
    required = target.get("required", [])
    rows = [
        (name, type_of(field), {**field, "required": name in required})
        for name, field in target.get("properties", {}).items()
    ]
    return _table(caption, rows, codes) if rows else f"<h4>{escape(caption)}</h4><p>{type_of(schema)}</p>"


def _table(caption: str, rows: Sequence[tuple[str, str, Node]], codes: set[str]) -> str:
    """Rows of a name, a type that is HTML already, and what the document says of it besides."""
    if not rows:
        return ""
    lines = []
    for name, kind, said in rows:
        optional = "" if said.get("required") else " <span class=soft>optional</span>"
        text = _prose(str(said.get("description") or ""), codes)
        lines.append(f"<tr><th><code>{escape(name)}</code>{optional}<td>{kind}<td>{text}")
    return f"<h4>{escape(caption)}</h4><table>{''.join(lines)}</table>"


def _prose(text: str, codes: set[str]) -> str:
    """Text with `code` set as code; the code of a refusal leads to its entry."""

    def code(match: re.Match[str]) -> str:
        word = match[1]
        return f"<a href=/docs/errors#{word}><code>{word}</code></a>" if word in codes else f"<code>{word}</code>"

    return re.sub("`([^`]+)`", code, escape(text.strip()))


def _method(method: str) -> str:
    return f"<span class='method {method}'>{method.upper()}</span>"


def _anchor(method: str, path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{method} {path}".lower()).strip("-")
