"""The OpenAPI document and the running application say the same: whatever is asked, no 5xx, and every answer has a
status, a content type, headers and a shape that the document names for it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import defaultdict
from pathlib import Path

import httpx
import msgspec

from api_processes import api_processes
from marketplace import Json, Person, in_seconds, open_marketplace, shown

EXAMPLES = 10
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "allow_header_conformance", "unsupported_method", "ignored_auth"),
)
LOGOUT = "/api/v1/auth/logout"
# Nobody makes up a password or a signature, and who is a creator already can't become one.
NEVER_DONE = {
    "POST /api/v1/creators",
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/payments/webhooks/{provider}",
}

Names = dict[str, list[str]]


async def test_the_application_is_as_described(database_url: str, tmp_path: Path) -> None:
    async with api_processes(database_url, 1) as (target,):
        url = f"http://{target.host}:{target.port}"
        person, names = await _somebody_with_everything(database_url, url)
        (tmp_path / "names.json").write_bytes(msgspec.json.encode(names))
        # Signing out comes last: nothing else could be asked afterwards.
        await _schemathesis(url, person, tmp_path, "--exclude-path", LOGOUT)
        await _schemathesis(url, person, tmp_path, "--include-path", LOGOUT)
        async with httpx.AsyncClient() as client:
            document = (await client.get(f"{url}/openapi.json")).json()
    _require_successes(document, tmp_path / "answered")


async def _somebody_with_everything(database_url: str, url: str) -> tuple[Person, Names]:
    """A creator who buys, too; and what stands for the ids that Schemathesis makes up."""
    async with open_marketplace(database_url) as market, httpx.AsyncClient(base_url=f"{url}/api/v1") as client:
        person, other = await market.creator(), await market.person()
        live = [await market.drop(person, stock=10_000), await market.drop(person, variants=2, stock=10_000)]
        later = await market.drop(person, starts_at=in_seconds(3_600))
        drafts = [await market.drop(person, draft=True) for _ in range(5)]
        to_cancel = [await market.drop(person) for _ in range(5)]

        async def orders(count: int, buyer: Person = person, **details: str) -> list[Json]:
            body = {"drop_id": live[0]["id"], "quantity": 1} | details
            headers = {"Authorization": f"Bearer {buyer.token}"}
            keys = [f"{details} {number} {os.urandom(4).hex()}" for number in range(count)]
            return [
                shown(await client.post("/orders", json=body, headers=headers | {"Idempotency-Key": key}), 201)
                for key in keys
            ]

        paid = await orders(10, payment_method="pm_card_ok")
        foreign = await orders(2, buyer=other)
        to_pay, to_name, to_end = await orders(20), await orders(20), await orders(20)
    drops = [*live, later, *drafts[:1], *to_cancel[:1]]
    return person, {
        "drop_id": _ids([*live, *live, later, drafts[0]]),
        "PATCH /api/v1/drops/{drop_id} drop_id": _ids([*live, later]),
        "POST /api/v1/drops/{drop_id}/publish drop_id": _ids(drafts),
        "POST /api/v1/drops/{drop_id}/cancel drop_id": _ids(to_cancel),
        "order_id": _ids([*paid, *foreign]),
        "POST /api/v1/orders/{order_id}/pay order_id": _ids(to_pay),
        "POST /api/v1/payments order_id": _ids(to_name),
        "PUT /api/v1/orders/{order_id}/cancel order_id": _ids(to_end[::2]),
        "DELETE /api/v1/reservations/{order_id} order_id": _ids(to_end[1::2]),
        "payment_id": [order["payment_id"] for order in paid],
        "product_id": [drop["product"]["id"] for drop in drops],
        "variant_id": [lot["variant_id"] for drop in live for lot in drop["lots"]],
        "creator_id": [person.id, other.id],
        "user_id": [person.id, other.id],
        "reference": [person.id, live[0]["creator"]["handle"]],
        "payment_method": ["pm_card_ok", "pm_card_ok", "pm_card_declined", "pm_card_error"],
    }


def _ids(things: list[Json]) -> list[str]:
    return [thing["id"] for thing in things]


async def _schemathesis(url: str, person: Person, folder: Path, *options: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", *options),
        *("--header", f"Authorization: Bearer {person.token}"),
        *("--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES), "--generation-deterministic"),
        *("--checks", ",".join(CHECKS), "--continue-on-failure", "--request-timeout", "10"),
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent),
            "SCHEMATHESIS_HOOKS": "openapi_hooks",
            "LIVEDROP_TEST_NAMES": str(folder),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), timeout=90)
    assert process.returncode == 0, said.decode()


def _require_successes(document: Json, answered: Path) -> None:
    """Every operation was asked for, and nearly every one also did something."""
    statuses = defaultdict(set)
    for line in answered.read_text().splitlines():
        method, path, status = line.split()
        statuses[f"{method} {path}"].add(status)
    described = {
        f"{method.upper()} {path}" for path, operations in document["paths"].items() for method in operations
    }
    assert described <= statuses.keys()
    without = {operation for operation in described if not any(each.startswith("2") for each in statuses[operation])}
    assert without <= NEVER_DONE
