"""docs/errors.md lists every refusal there is."""

from __future__ import annotations

from pathlib import Path

from livedrop.kit.refusals import Refusal
from livedrop.processes.errors import errors_page, write_errors
from livedrop.web.error_list import error_list, refusal_types

WRITTEN = Path(__file__).parents[2] / "docs" / "errors.md"


def test_the_written_list_is_the_one_of_this_code() -> None:
    assert WRITTEN.read_text("utf-8") == errors_page(), (
        "docs/errors.md is stale; run: .venv/bin/python -m livedrop.processes.errors docs/errors.md"
    )


def test_writing_writes_the_page(tmp_path: Path) -> None:
    write_errors(tmp_path / "errors.md")
    assert (tmp_path / "errors.md").read_text("utf-8") == errors_page()


def test_every_refusal_can_be_told_by_its_code() -> None:
    errors_page()  # imports everything
    kinds = refusal_types()
    assert {kind.__module__.split(".")[1] for kind in kinds} >= {"kit", "web", "catalogue"}
    for kind in kinds:
        assert kind.code != Refusal.code, f"{kind.__name__} has no code of its own"
        assert 400 <= kind.status < 600
        assert kind.__doc__, f"{kind.__name__} tells the user nothing"
        assert "|" not in kind.title()
    codes = [error.code for error in error_list()]
    assert len(codes) == len(set(codes)), "one code, one status"


def test_what_tests_define_is_not_listed() -> None:
    class OnlyHere(Refusal):
        """This is a test."""

        code, status = "only_here", 418

    assert OnlyHere not in refusal_types()
    assert "only_here" not in errors_page()
