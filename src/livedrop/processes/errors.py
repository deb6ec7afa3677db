"""`python -m livedrop.processes.errors docs/errors.md`: the list of all refusals, written down."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

import livedrop
from livedrop.web.error_list import ErrorEntry, error_list

_ABOUT = """\
# Errors

Every refusal is a problem document (RFC 9457, `application/problem+json`) with `type`, `title`, `status`, `detail`,
`code` and `request_id`, and members of its own where they help: `errors` (the fields and what is wrong with them),
`retry_after_seconds` and others. `code` is stable: decide by it, show `detail`.

This page is generated from the refusal types by `python -m livedrop.processes.errors docs/errors.md`.

| code | status | meaning |
|---|---|---|
"""
# Modules that do something when they are imported, or that only start processes: no refusal is defined there.
_NOT_IMPORTED = ("livedrop.__main__", "livedrop.cli", "livedrop.processes", "livedrop.migrations")


def write_errors(path: Path) -> None:
    """Writes the list of all refusals there are, as Markdown."""
    path.write_text(errors_page(), encoding="utf-8")


def errors_page() -> str:
    _import_everything()
    return _ABOUT + "".join(_row(entry) for entry in error_list())


def _import_everything() -> None:
    """A type is known only once its module is imported."""
    for module in pkgutil.walk_packages(livedrop.__path__, "livedrop."):
        if not module.name.startswith(_NOT_IMPORTED):
            importlib.import_module(module.name)


def _row(entry: ErrorEntry) -> str:
    return f'| <a id="{entry.code}"></a>`{entry.code}` | {entry.status} | {" / ".join(entry.meanings)} |\n'


if __name__ == "__main__":
    write_errors(Path(sys.argv[1]))
