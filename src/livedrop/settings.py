"""The settings: the only reader of the environment."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Mode = Literal["development", "production"]

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
SECRET_BYTES_MIN = 32


class BadSetting(Exception):
    """A setting can't be used; the message names it and says what is allowed."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, read once at the start of a process. Each is the environment's `LIVEDROP_` + the upper-case name.

    `database_url`: None means our own PostgreSQL in `data_dir`. `secret_keys`: the first signs, all verify; write
    several, separated by commas, while rotating.
    """

    mode: Mode
    database_url: str | None
    data_dir: Path
    host: str
    port: int
    workers: int
    secret_keys: tuple[str, ...]
    hold_seconds: int
    limits_exempt: tuple[Network, ...]
    cors_origins: tuple[str, ...]
    log_level: str
    provider_url: str
    public_url: str

    @property
    def development(self) -> bool:
        return self.mode == "development"


def read(environment: Mapping[str, str], *, mode: Mode = "production") -> Settings:
    """The settings of this environment; `mode` is the default where LIVEDROP_MODE is not set.

    Raises `BadSetting`.
    """

    def given(name: str, default: str) -> str:
        return environment.get(f"LIVEDROP_{name}", "") or default

    def number(name: str, default: int, least: int, most: int) -> int:
        text = given(name, str(default))
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise BadSetting(f"LIVEDROP_{name} must be a whole number from {least} to {most}, not {text!r}.")
        return int(text)

    chosen = given("MODE", mode)
    if chosen not in ("development", "production"):
        raise BadSetting(f"LIVEDROP_MODE must be development or production, not {chosen!r}.")
    development = chosen == "development"

    database_url = given("DATABASE_URL", "") or None
    if database_url and not database_url.startswith(("postgresql://", "postgres://")):
        raise BadSetting("LIVEDROP_DATABASE_URL must start with postgresql://.")

    keys = tuple(key.strip() for key in given("SECRET_KEY", "").split(",") if key.strip())
    if not keys and not development:
        raise BadSetting(
            "LIVEDROP_SECRET_KEY is not set. Production mode needs one, at least 32 characters long; "
            f"for example: {secrets.token_urlsafe(32)}"
        )
    for key in keys:
        if len(key.encode()) < SECRET_BYTES_MIN:
            raise BadSetting(f"Each key in LIVEDROP_SECRET_KEY must have at least {SECRET_BYTES_MIN} characters.")

    networks = given("LIMITS_EXEMPT", "")
    try:
        exempt = tuple(ipaddress.ip_network(text.strip()) for text in networks.split(",") if text.strip())
    except ValueError as error:
        raise BadSetting(f"LIVEDROP_LIMITS_EXEMPT must be networks such as 10.0.0.0/8: {error}.") from None

    level = given("LOG_LEVEL", "info").lower()
    if level not in ("debug", "info", "warning", "error"):
        raise BadSetting(f"LIVEDROP_LOG_LEVEL must be debug, info, warning or error, not {level!r}.")

    host = given("HOST", "127.0.0.1")
    port = number("PORT", 4000, 1, 65_535)
    return Settings(
        mode="development" if development else "production",
        database_url=database_url,
        data_dir=Path(given("DATA_DIR", ".livedrop")).expanduser().absolute(),
        host=host,
        port=port,
        workers=number("WORKERS", 1, 1, 64),
        secret_keys=keys,
        hold_seconds=number("HOLD_SECONDS", 60, 1, 86_400),
        limits_exempt=exempt or (LOOPBACK if development else ()),
        cors_origins=tuple(origin.strip() for origin in given("CORS_ORIGINS", "").split(",") if origin.strip()),
        log_level=level,
        provider_url=given("PROVIDER_URL", "http://127.0.0.1:4010"),
        public_url=given("PUBLIC_URL", f"http://127.0.0.1:{port}"),
    )
