"""The pages to read: they stand alone, every link in them leads somewhere, and what they quote is only quoted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import httpx
import msgspec
import pytest

from livedrop.catalogue.routes import routes
from livedrop.web.application import Application, framework
from livedrop.web.docs import docs_routes
from livedrop.web.docs_types import type_of
from livedrop.web.error_list import error_list
from livedrop.web.guards import AuthRequired, Caller, Guard
from livedrop.web.openapi import openapi_document
from livedrop.web.pages import Cursors

NASTY = '<script>alert("1")</script>\'&`'


def _nobody(token: str) -> Caller:
    raise AuthRequired


def document() -> dict[str, Any]:
    unused: Any = None
    return openapi_document(routes(unused, Guard(_nobody), Cursors(b"")))


async def served(document: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    application: Any = Application([], framework(docs_routes(msgspec.json.encode(document))))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://test") as client:
        yield client


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async for client in served(document()):
        yield client


class Page(HTMLParser):
    """What a page's tags say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name in {"href", "src"}:
                self.links.append(value or "")


async def test_the_pages_stand_alone_and_every_link_leads_somewhere(client: httpx.AsyncClient) -> None:
    pages = {}
    for path in ["/docs", "/docs/errors"]:
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        pages[path] = Page(answer.text)
    for path, page in pages.items():
        assert not {"script", "style", "img", "iframe"} & set(page.tags)
        assert not {name for name in page.attributes if name == "style" or name.startswith("on")}
        assert len(page.ids) == len(set(page.ids))
        assert page.links
        for link in page.links:
            target, _, anchor = link.partition("#")
            if target not in {"", *pages}:
                assert (await client.get(target)).status_code == 200, link
            if anchor:
                assert anchor in pages[target or path].ids, link


async def test_the_style_fetches_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs/style.css")
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "url(" not in answer.text
    assert "@import" not in answer.text
    assert "prefers-color-scheme: dark" in answer.text


async def test_the_page_says_what_the_document_says(client: httpx.AsyncClient) -> None:
    page = re.sub(r"<[^>]+>", " ", (await client.get("/docs")).text)
    described: dict[str, Any] = (await client.get("/openapi.json")).json()
    assert described == document()
    for path, operations in described["paths"].items():
        assert path in page
        for operation in operations.values():
            assert operation["summary"] in page
            assert all(parameter["name"] in page for parameter in operation.get("parameters", []))
    for schema in described["components"]["schemas"].values():
        assert all(name in page for name in schema.get("properties", {}))


async def test_what_is_quoted_is_no_markup() -> None:
    nasty = {
        "info": {"title": NASTY, "version": NASTY, "description": NASTY},
        "paths": {
            f"/{NASTY}": {
                "get": {
                    "tags": [NASTY],
                    "summary": NASTY,
                    "description": NASTY,
                    "parameters": [{"name": NASTY, "in": "query", "description": NASTY, "schema": {"enum": [NASTY]}}],
                    "responses": {NASTY: {"description": NASTY}},
                }
            }
        },
        "components": {
            "schemas": {NASTY: {"title": NASTY, "properties": {NASTY: {"default": NASTY, "type": NASTY}}}}
        },
    }
    async for client in served(nasty):
        text = (await client.get("/docs")).text
        assert "script" not in Page(text).tags
        assert "<script" not in text
        assert text.count("&lt;script&gt;") >= 10


async def test_every_code_has_its_entry(client: httpx.AsyncClient) -> None:
    ids = Page((await client.get("/docs/errors")).text).ids
    assert {error.code for error in error_list()} == set(ids)
    assert {"sku_taken", "not_found", "invalid_fields", "internal_error"} <= set(ids)
    # The `type` of a problem document leads there.
    assert (await client.get("/nowhere")).json()["type"] == "/docs/errors#not_found"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "anything"),
        ({"type": "integer", "minimum": 0, "maximum": 1000}, "integer 0…1,000"),
        ({"type": "string", "maxLength": 5}, "string …5 characters"),
        ({"type": ["null", "string"]}, "null or string"),
        ({"type": "string", "format": "uuid", "default": "x"}, "uuid default x"),
        ({"oneOf": [{"type": "integer"}, {"type": "null"}], "minimum": 1}, "integer or null 1…"),
        (
            {"type": "array", "items": {"$ref": "#/components/schemas/Page_Cup_"}, "maxItems": 3},
            "list of Page of Cup …3 items",
        ),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "map to boolean"),
        ({"enum": ["a", 1]}, "a | 1"),
        ({"enum": list(range(99))}, " | ".join(str(value) for value in range(12)) + " | … (99 values)"),
        ({"const": "a"}, "a"),
    ],
)
def test_a_schema_in_a_few_words(schema: dict[str, Any], words: str) -> None:
    assert re.sub(r"<[^>]+>", "", type_of(schema)) == words
