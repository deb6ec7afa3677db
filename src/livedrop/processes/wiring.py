"""What the API is made of, put together; nothing is opened here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
from litestar import Router
from litestar.types import ControllerRouterHandler

from livedrop.accounts import Passwords, Tokens
from livedrop.accounts.routes import routes as accounts_routes
from livedrop.catalogue.routes import routes as catalogue_routes
from livedrop.drops import DropPages
from livedrop.drops.hot import hot_routes as hot_drops_routes
from livedrop.drops.routes import routes as drops_routes
from livedrop.follows.routes import routes as follows_routes
from livedrop.kit.clock import DatabaseClock
from livedrop.kit.database import Database, is_away
from livedrop.kit.metrics import Figures
from livedrop.kit.revisions import require_newest
from livedrop.kit.starting import CannotStart
from livedrop.orders import Cashier, Counter
from livedrop.orders.hot import hot_routes as hot_orders_routes
from livedrop.orders.routes import routes as orders_routes
from livedrop.payments import Provider
from livedrop.settings import Settings
from livedrop.stock import Books, SoldOutMemory, Till
from livedrop.web.application import Application, HotRoute, framework
from livedrop.web.docs import docs_routes
from livedrop.web.guards import Guard
from livedrop.web.openapi import openapi_document
from livedrop.web.operations import Check, health_routes, time_routes
from livedrop.web.pages import Cursors
from livedrop.web.requests import Answer, Request

CHECK_TIMEOUT_SECONDS = 2.0


class MakeTill(Protocol):
    """Makes the till of a process; the benchmarks put another one in its place."""

    def __call__(self, database: Database, *, on_committed: Callable[[Books], None]) -> Till: ...


class Wired(msgspec.Struct, frozen=True):
    """The application, and the parts of it that its process must open, watch or close."""

    application: Application
    document: dict[str, Any]
    guard: Guard
    till: Till
    cashier: Cashier
    pages: DropPages
    passwords: Passwords


def wire(
    settings: Settings,
    database: Database,
    provider: Provider,
    *,
    readers: Database | None = None,
    make_till: MakeTill = Till,
) -> Wired:
    """The application over this database and this payment provider.

    `readers`: a pool of its own for drop pages and sold-out readings; without it they share `database`.
    """
    readers = readers or database
    tokens = Tokens(settings.secret_keys)
    guard = Guard(tokens.verify)
    passwords = Passwords()
    cursors = Cursors(settings.secret_keys[0].encode())
    sold_out = SoldOutMemory(readers)
    till = make_till(database, on_committed=sold_out.committed)
    cashier = Cashier(till, provider)
    counter = Counter(database, cashier, sold_out)
    pages = DropPages(readers, DatabaseClock())

    handlers: list[ControllerRouterHandler] = [
        *accounts_routes(
            database,
            guard,
            tokens,
            passwords,
            limits_exempt=settings.limits_exempt,
            development=settings.development,
        ),
        *follows_routes(database, guard, cursors),
        *catalogue_routes(database, guard, cursors),
        *drops_routes(database, guard, cursors, till, pages, hold_seconds=settings.hold_seconds),
        *orders_routes(counter, guard, cursors, pages),
        *time_routes(database),
    ]
    hot = [*hot_orders_routes(counter, guard), *hot_drops_routes(pages, guard)]
    document = openapi_document([*handlers, *(route.described for route in hot if route.described is not None)])
    figures = Figures()
    application = Application(
        [*hot, *(_noop_routes() if settings.development else ())],
        framework(
            [
                Router("/api/v1", route_handlers=handlers),
                *docs_routes(msgspec.json.encode(document)),
                *health_routes([_database_check(database)], figures.registry, settings.service_token),
            ]
        ),
    )
    _count(figures, application, till)
    return Wired(application, document, guard, till, cashier, pages, passwords)


def _database_check(database: Database) -> Check:
    async def check() -> str | None:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS), database.connection() as connection:
                await require_newest(connection)
        except CannotStart as error:
            return str(error)
        except Exception as error:
            if not is_away(error):
                raise
            return "the database does not answer"
        return None

    return check


def _noop_routes() -> Sequence[HotRoute]:
    """What the benchmarks compare with: read the body, answer a little JSON, behind all that hot routes bear."""

    async def answer(_: Request) -> Answer:
        return Answer(b'{"status":"ok"}')

    return [HotRoute("POST", "/noop", answer), HotRoute("GET", "/noop", answer)]


def _count(figures: Figures, application: Application, till: Till) -> None:
    figures.counter(
        "livedrop_answers",
        "HTTP answers by status",
        "status",
        lambda: {str(status): count for status, count in application.answered.items()},
    )
    figures.counter("livedrop_till", "What the till has settled", "what", lambda: till.settled)
    figures.gauge("livedrop_till_waiting", "Intents that wait for the till", lambda: till.waiting)
