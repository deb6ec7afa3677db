"""Field types that several slices' bodies share, with their bounds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

# The largest price of one unit. With at most QUANTITY_MAX units an order's total stays below 2^53, exact in
# every JSON reader (RFC 8259 §6).
PRICE_MINOR_MAX = 1_000_000_000_000
QUANTITY_MAX = 1_000

# PostgreSQL's text can't hold the character NUL. (What is no Unicode, such as half of a pair, is no JSON either.)
TEXT = r"^[^\x00]*$"
SAYS_SOMETHING = r"^[^\x00]*[^\x00\s][^\x00]*$"

Title = Annotated[str, Meta(min_length=1, max_length=200, pattern=SAYS_SOMETHING)]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=SAYS_SOMETHING)]
LongText = Annotated[str, Meta(max_length=10_000, pattern=TEXT)]
Url = Annotated[str, Meta(max_length=2_000, pattern=r"^https?://[^\s/\x00]+[^\s\x00]*$")]
PriceMinor = Annotated[int, Meta(ge=0, le=PRICE_MINOR_MAX)]
Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
Stock = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Moment = Annotated[datetime, Meta(tz=True)]
SaidMoment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""A time as the API says it: RFC 3339, UTC, milliseconds (`kit.clock.rfc3339`)."""
