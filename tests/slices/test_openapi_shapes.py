"""The OpenAPI document says of bodies, answers and parameters exactly what is taken and given."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, JSONBody, QueryParameter

from livedrop.kit.refusals import Busy
from livedrop.web.openapi import openapi_document
from livedrop.web.pages import Page


class Cup(msgspec.Struct, forbid_unknown_fields=True):
    """Something to drink from."""

    volume: Annotated[int, msgspec.Meta(ge=0, le=9)] | None
    words: list[Annotated[str, msgspec.Meta(min_length=1)]]
    size: int | float = 0
    colour: str | msgspec.UnsetType = msgspec.UNSET


class Sip(msgspec.Struct):
    volume: int


@post("/cups", status_code=201, responses={202: ResponseSpec(Sip)}, opt={"refuses": (Busy,)})
async def post_cup(data: JSONBody[Cup]) -> Response[Cup]:
    """Makes a cup."""
    return Response(data)


@get("/cups")
async def get_cups(
    least: Annotated[int | None, QueryParameter(ge=0)] = None, colour: FromQuery[str | None] = None
) -> Page[Cup]:
    return Page([], None)


@get("/cups/sips")
async def get_sips() -> list[Sip]:
    return []


def json_of(part: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = part["content"]["application/json"]["schema"]
    return schema


def test_shapes_are_said_exactly() -> None:
    document = openapi_document([post_cup, get_cups, get_sips])
    cups, sips = document["paths"]["/api/v1/cups"], document["paths"]["/api/v1/cups/sips"]
    schemas = document["components"]["schemas"]

    assert cups["post"]["description"] == "Makes a cup."
    assert json_of(cups["post"]["requestBody"]) == {"$ref": "#/components/schemas/Cup"}
    assert json_of(cups["post"]["responses"]["201"]) == {"$ref": "#/components/schemas/Cup"}
    assert json_of(cups["post"]["responses"]["202"]) == {"$ref": "#/components/schemas/Sip"}
    assert json_of(cups["get"]["responses"]["200"]) == {"$ref": "#/components/schemas/Page_Cup_"}
    assert json_of(sips["get"]["responses"]["200"]) == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Sip"},
    }

    assert set(schemas) == {"Cup", "Sip", "Page_Cup_", "Problem", "FieldError"}
    assert schemas["Cup"]["additionalProperties"] is False
    assert schemas["Cup"]["description"] == "Something to drink from."
    assert schemas["Cup"]["required"] == ["volume", "words"]
    assert schemas["Cup"]["properties"]["words"]["items"] == {"type": "string", "minLength": 1}
    assert {"type": "integer", "minimum": 0, "maximum": 9} in schemas["Cup"]["properties"]["volume"]["anyOf"]
    assert "oneOf" not in schemas["Cup"]["properties"]["size"]

    least, colour = cups["get"]["parameters"]
    assert least["schema"] == {"type": "integer", "minimum": 0}
    assert colour["schema"] == {"type": "string"}


def test_every_operation_may_refuse_and_says_with_which_codes() -> None:
    document = openapi_document([post_cup, get_cups, get_sips])
    for described in document["paths"].values():
        for operation in described.values():
            assert "400" not in operation["responses"]
            for status in ("4XX", "503"):
                problem = operation["responses"][status]["content"]["application/problem+json"]["schema"]
                assert problem == {"$ref": "#/components/schemas/Problem"}

    def said(path: str, method: str) -> set[str]:
        answers = document["paths"][path][method]["responses"]
        return set(re.findall("`([a-z_]+)`", answers["4XX"]["description"])) - {"code"}

    assert said("/api/v1/cups", "post") == {
        "body_too_large",
        "busy",
        "invalid_fields",
        "malformed_body",
        "unsupported_media_type",
    }
    assert said("/api/v1/cups", "get") == {"invalid_fields"}
    assert said("/api/v1/cups/sips", "get") == set()
