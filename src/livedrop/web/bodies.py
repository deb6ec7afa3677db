"""The bodies of Litestar's routes, read exactly as those of hot routes."""

from __future__ import annotations

from functools import cache
from typing import Any

import litestar
import msgspec

from livedrop.web.requests import decode


class StrictRequest(litestar.Request[Any, Any, Any]):
    """A request whose body is decoded into the type that its handler asks for, at once and strictly.

    Litestar by itself decodes without a type and converts afterwards, as leniently as it reads a query: it takes
    "1" for the number 1, and gives no answer of ours to JSON that is nested too deeply. Give this class to
    `Litestar(request_class=…)`.
    """

    async def json(self) -> Any:
        field = self.route_handler.parsed_data_field
        return decode(_decoder(Any if field is None else field.annotation), await self.body())


@cache  # bounded by the number of handlers
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)
