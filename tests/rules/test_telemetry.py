"""The log hides what must not be read in it, and does not flood."""

from __future__ import annotations

import pytest
import structlog

from livedrop.kit.telemetry import OnceASecond, hide_secrets


@pytest.mark.parametrize(
    "name", ["password", "new_password", "secret_key", "refresh_token", "Authorization", "apikey"]
)
def test_secrets_are_hidden_by_their_names(name: str) -> None:
    assert hide_secrets(None, "info", {"event": "x", name: "hush"}) == {"event": "x", name: "[hidden]"}


def test_passwords_in_addresses_are_hidden_wherever_they_stand() -> None:
    told = hide_secrets(None, "info", {"event": "no answer from postgresql://shop:hush@db:5432/shop"})
    assert told == {"event": "no answer from postgresql://shop:[hidden]@db:5432/shop"}


def test_all_else_is_told() -> None:
    event = {"event": "sold_out", "drop_id": "0198", "left": 0, "address": "http://127.0.0.1:4000/docs"}
    assert hide_secrets(None, "info", dict(event)) == event


def test_a_flood_of_warnings_is_one_line_a_second() -> None:
    now = [100.0]
    once_a_second = OnceASecond(lambda: now[0])

    def passes(method: str, event: str) -> dict[str, object] | None:
        try:
            return dict(once_a_second(None, method, {"event": event}))
        except structlog.DropEvent:
            return None

    assert passes("warning", "database_away") == {"event": "database_away"}
    assert passes("warning", "database_away") is None
    assert passes("warning", "database_away") is None
    assert passes("warning", "something_else") == {"event": "something_else"}
    assert passes("error", "database_away") == {"event": "database_away"}
    now[0] += 1.0
    assert passes("warning", "database_away") == {"event": "database_away", "held_back": 2}
