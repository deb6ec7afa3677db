"""What the OpenAPI document says of accounts and creators."""

from __future__ import annotations

from typing import Any

import pytest

from accounts_client import QUICK, SECRET
from livedrop.accounts import Passwords, Tokens
from livedrop.accounts.routes import routes as account_routes
from livedrop.follows.routes import routes as follow_routes
from livedrop.kit.database import Database
from livedrop.web.guards import Guard
from livedrop.web.openapi import openapi_document
from livedrop.web.pages import Cursors


@pytest.fixture
def paths() -> dict[str, Any]:
    database, tokens, passwords = Database("postgresql://nowhere"), Tokens([SECRET]), Passwords(QUICK)
    guard = Guard(tokens.verify)
    document = openapi_document(
        [
            *account_routes(database, guard, tokens, passwords, limits_exempt=(), development=False),
            *follow_routes(database, guard, Cursors(b"secret")),
        ]
    )
    passwords.close()
    found: dict[str, Any] = document["paths"]
    return found


def test_the_development_login_is_not_in_productions_document(paths: dict[str, Any]) -> None:
    assert "/api/v1/users/auth/dev" not in paths
    assert "/api/v1/users/me" in paths


def test_signing_out_needs_no_body(paths: dict[str, Any]) -> None:
    assert paths["/api/v1/auth/logout"]["post"]["requestBody"]["required"] is False
    assert paths["/api/v1/auth/login"]["post"]["requestBody"]["required"] is True


@pytest.mark.parametrize(
    ("method", "path", "codes"),
    [
        ("post", "/auth/register", {"email_taken", "rate_limited"}),
        ("post", "/auth/login", {"wrong_credentials", "rate_limited"}),
        ("post", "/auth/refresh", {"session_ended"}),
        ("post", "/auth/logout", {"auth_required"}),
        ("get", "/users/me", {"auth_required"}),
        ("get", "/users/{user_id}", {"not_found"}),
        ("post", "/creators", {"auth_required", "already_creator", "handle_taken"}),
        ("get", "/creators", {"bad_cursor"}),
        ("get", "/creators/{reference}", {"not_found"}),
    ],
)
def test_every_refusal_is_named(paths: dict[str, Any], method: str, path: str, codes: set[str]) -> None:
    said = paths[f"/api/v1{path}"][method]["responses"]["4XX"]["description"]
    assert all(f"`{code}`" in said for code in codes)
