"""Loaded by Schemathesis: puts names that exist in the place of those that it makes up, and notes what is answered.

The file that `LIVEDROP_TEST_NAMES` leads to holds `names`: what may stand for a parameter or member of that name, or,
before it, for one of that operation ("POST /path name").
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import schemathesis

FOLDER = Path(os.environ["LIVEDROP_TEST_NAMES"])
ANSWERED = (FOLDER / "answered").open("a")

_names = {
    place: itertools.cycle(names)
    for place, names in msgspec.json.decode((FOLDER / "names.json").read_bytes(), type=dict[str, list[str]]).items()
}
_numbers = itertools.count()
_is_id = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_is_key = re.compile(r"[!#-~][ -~]{0,99}").fullmatch


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    operation = f"{case.method.upper()} {case.path}"
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            _put_names(operation, place)
    key = case.headers.get("Idempotency-Key")
    if isinstance(key, str) and _is_key(key):  # otherwise most would be refused as used for another request
        case.headers["Idempotency-Key"] = f"{key} {next(_numbers)}"


def _put_names(operation: str, place: dict[str, Any]) -> None:
    for member, value in place.items():
        names = _names.get(f"{operation} {member}") or _names.get(member)
        # What is made up wrong on purpose stays wrong.
        if names is not None and isinstance(value, str) and (_is_id(value) or not member.endswith("_id")):
            place[member] = next(names)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    ANSWERED.write(f"{case.method.upper()} {case.path} {response.status_code}\n")
    ANSWERED.flush()
