"""Routes for those who run LiveDrop: is it alive, can it serve, what does it count, what time is it."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.types import ControllerRouterHandler
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from livedrop.kit.clock import rfc3339
from livedrop.kit.database import Database
from livedrop.kit.refusals import NotFound
from livedrop.web.fields import SaidMoment

Check = Callable[[], Awaitable[str | None]]
"""What is missing, in a few words, or None."""


class Alive(msgspec.Struct):
    status: str


class Readiness(msgspec.Struct):
    """Whether this process can serve; `missing` names what keeps it from it."""

    ready: bool
    missing: list[str]


class Time(msgspec.Struct):
    """PostgreSQL's time, by which drops start and end."""

    now: SaidMoment
    precision_ms: int


def health_routes(
    checks: list[Check], registry: CollectorRegistry, service_token: str | None
) -> list[ControllerRouterHandler]:
    """At the root, beside the API."""

    @get("/healthz", tags=["operations"], summary="Alive")
    async def healthz() -> Alive:
        return Alive("alive")

    @get("/readyz", tags=["operations"], summary="Can serve")
    async def readyz() -> Response[Readiness]:
        missing = [said for said in [await check() for check in checks] if said is not None]
        return Response(
            Readiness(not missing, missing),
            status_code=503 if missing else 200,
            media_type="application/json",
        )

    @get("/metrics", tags=["operations"], summary="Figures for Prometheus", media_type="text/plain")
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not _may_see(request, service_token):
            raise NotFound
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [healthz, readyz, metrics]


def time_routes(database: Database) -> list[ControllerRouterHandler]:
    @get("/time", tags=["operations"], summary="The clock by which drops start")
    async def get_time() -> Time:
        return Time(rfc3339(await database.fetchval("SELECT clock_timestamp()")), 1)

    return [get_time]


def _may_see(request: Request[Any, Any, Any], service_token: str | None) -> bool:
    if service_token is not None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if hmac.compare_digest(given.encode(), service_token.encode()):
            return True
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
