"""How accounts say no."""

from __future__ import annotations

from typing import ClassVar

from livedrop.kit.refusals import Refusal


class EmailTaken(Refusal):
    """There is an account with this e-mail already; sign in instead."""

    code, status = "email_taken", 409


class WrongCredentials(Refusal):
    """The e-mail or the password is wrong."""

    code, status = "wrong_credentials", 401
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class SessionEnded(Refusal):
    """This refresh token is not valid, or not any more; sign in again."""

    code, status = "session_ended", 401
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}
