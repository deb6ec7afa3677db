"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from livedrop.kit.starting import CannotStart
from livedrop.settings import DESCRIBED, BadSetting, Mode, Settings, is_loopback, read

app = typer.Typer(
    help="LiveDrop: a limited number of things, sold fairly at an announced second.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

DataDir = Annotated[str | None, typer.Option(metavar="FOLDER", help="The folder of our own PostgreSQL. [.livedrop]")]
Fd = Annotated[int | None, typer.Option(hidden=True, help="A listening socket to take over.")]


def main() -> None:
    try:
        app()
    except (BadSetting, CannotStart) as error:
        sys.stderr.write(f"livedrop: {error}\n")
        raise SystemExit(1) from None


def _listed_settings() -> str:
    width = max(len(setting.name) for setting in DESCRIBED)
    lines = [
        f"  LIVEDROP_{setting.name:<{width}}  {setting.meaning}"
        + (f" [{setting.default}]" if setting.default else "")
        for setting in DESCRIBED
    ]
    return "\b\nSettings, from the environment:\n" + "\n".join(lines)


@app.command(epilog=_listed_settings())
def up(
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, metavar="NUMBER", help="Where to listen. [4000]")
    ] = None,
    data_dir: DataDir = None,
    demo: Annotated[bool, typer.Option("--demo", help="Fill an empty database with things to try.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, max=64, metavar="NUMBER", help="API processes. [1]")] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Run everything on this machine, until Ctrl-C.

    PostgreSQL, its tables, a sandbox for payments, the worker and the API; each is started again if it ends.
    """
    from livedrop.kit.children import end_with_parent
    from livedrop.processes import up as process

    if with_parent:
        end_with_parent()
    host = os.environ.get("LIVEDROP_HOST") or "127.0.0.1"
    mode: Mode = "development" if is_loopback(host) else "production"
    process.run(_settings("up", mode=mode, signs=True, port=port, data_dir=data_dir, workers=workers), demo=demo)


@app.command()
def api(fd: Fd = None, data_dir: DataDir = None) -> None:
    """Run the HTTP API."""
    from livedrop.processes import api as process

    process.run(_signing_settings("api", data_dir=data_dir), fd=fd)


@app.command()
def worker(data_dir: DataDir = None) -> None:
    """Run the worker.

    It does what nobody waits for: it ends holds, asks after payments without an answer, and pays back.
    """
    from livedrop.processes import worker as process

    process.run(_signing_settings("worker", data_dir=data_dir))


@app.command(hidden=True)
def provider(fd: Fd = None) -> None:
    """Run the sandbox payment provider; `up` does so."""
    from livedrop.payments.sandbox.wire import webhook_secret
    from livedrop.processes import provider as process

    settings = _signing_settings("provider")
    if settings.database_url is None:
        raise CannotStart("The sandbox provider needs LIVEDROP_DATABASE_URL; `livedrop up` starts it with our own.")
    process.run(
        database_url=settings.database_url,
        webhook_secret=webhook_secret(settings.secret_keys[0]),
        public_url=settings.public_url,
        fd=fd,
    )


@app.command()
def migrate(
    data_dir: DataDir = None,
    demo: Annotated[bool, typer.Option("--demo", hidden=True)] = False,
) -> None:
    """Bring the database's tables to this version."""
    from livedrop.processes import migrate as process

    process.run(_settings("migrate", data_dir=data_dir), demo=demo)


@app.command()
def seed(
    reset: Annotated[bool, typer.Option("--reset", help="Empty the database first.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Fill the database with things to try."""
    from livedrop.processes import seed as process

    process.run(_settings("seed", data_dir=data_dir), reset=reset)


@app.command()
def audit(
    drop: Annotated[str | None, typer.Option(metavar="ID", help="This drop only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Check the books; exit 1 on any breach.

    Every invariant of stock, orders, payments and facts, in one snapshot.
    """
    from livedrop.processes import audit as process

    process.run(_settings("audit", data_dir=data_dir), drop=drop, as_json=as_json)


@app.command()
def crowd(
    url: Annotated[str, typer.Option(help="The running server.")] = "http://localhost:4000",
    buyers: Annotated[int, typer.Option(min=1, max=1_000_000)] = 10_000,
    units: Annotated[int, typer.Option(min=1, max=1_000_000)] = 1_000,
    as_json: Annotated[bool, typer.Option("--json", help="The verdict as JSON.")] = False,
) -> None:
    """Send a crowd of real HTTP buyers at a running server, then compare the books."""
    from livedrop.processes import crowd as process

    process.run(url=url, buyers=buyers, units=units, as_json=as_json)


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="A short run, to try the benchmark itself.")] = False,
) -> None:
    """Measure every figure that LiveDrop promises, in one run with a database of its own."""
    from livedrop.processes import bench as process

    process.run(quick=quick)


@app.command()
def openapi() -> None:
    """Print the OpenAPI document."""
    from livedrop.processes import openapi as process

    process.run()


def _settings(
    process: str,
    *,
    mode: Mode = "production",
    signs: bool = False,
    port: int | None = None,
    workers: int | None = None,
    data_dir: str | None = None,
) -> Settings:
    """The environment's settings under what was given on the command line; the log is set up by them."""
    from livedrop.kit import telemetry

    given = {"LIVEDROP_PORT": port, "LIVEDROP_WORKERS": workers, "LIVEDROP_DATA_DIR": data_dir}
    said = {name: str(value) for name, value in given.items() if value is not None}
    settings = read({**os.environ, **said}, mode=mode, signs=signs)
    telemetry.configure(process, level=settings.log_level, development=settings.development)
    return settings


def _signing_settings(process: str, *, data_dir: str | None = None) -> Settings:
    """The same for a process that signs or verifies; in development with the data folder's key."""
    from livedrop.processes.secret_key import with_secret_key

    return with_secret_key(_settings(process, signs=True, data_dir=data_dir))
