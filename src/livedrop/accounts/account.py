"""An account, and what its fields may hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

EMAIL_CHARACTERS_MAX = 254  # RFC 5321 §4.5.3.1.3, less the angle brackets
PASSWORD_CHARACTERS_MIN = 8  # OWASP Authentication Cheat Sheet
PASSWORD_CHARACTERS_MAX = 128
REFRESH_TOKEN_CHARACTERS_MAX = 200

# ASCII without spaces around one @, and a dot behind it; whether a mailbox answers, only a message can tell.
# ASCII only, so that "the same, whatever its case" means the same to PostgreSQL and to us.
Email = Annotated[str, Meta(max_length=EMAIL_CHARACTERS_MAX, pattern=r"^\s*[!-?A-~]+@[!-?A-~]+\.[!-?A-~]+\s*$")]
NewPassword = Annotated[str, Meta(min_length=PASSWORD_CHARACTERS_MIN, max_length=PASSWORD_CHARACTERS_MAX)]
Password = Annotated[str, Meta(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]
RefreshToken = Annotated[str, Meta(min_length=1, max_length=REFRESH_TOKEN_CHARACTERS_MAX)]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user; one made by the development login has no e-mail."""

    id: UUID
    name: str
    email: str | None
    created_at: datetime


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a client gets of a session, and never again: neither token is stored."""

    account: Account
    access_token: str
    refresh_token: str
    expires_in_seconds: int
