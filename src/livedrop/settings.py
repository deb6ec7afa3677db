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
PROVIDER_URL_DEFAULT = "http://127.0.0.1:4010"


class BadSetting(Exception):
    """A setting can't be used; the message names it and says what is allowed."""


class Described(msgspec.Struct, frozen=True):
    """One variable of the environment, LIVEDROP_ and its name; `default` is what an unset or empty one means."""

    name: str
    default: str
    meaning: str


DESCRIBED: tuple[Described, ...] = (
    Described("DATABASE_URL", "", "postgresql://… of a PostgreSQL of your own; unset: our own in the data folder"),
    Described("DATA_DIR", ".livedrop", "the folder of our own PostgreSQL and of the development key"),
    Described("HOST", "127.0.0.1", "the address to listen on"),
    Described("PORT", "4000", "the port to listen on"),
    Described("PUBLIC_URL", "", "the address that clients use; unset: made of host and port"),
    Described("MODE", "", "development or production; unset: development for `up` on loopback, else production"),
    Described("SECRET_KEY", "", "signs tokens and cursors, 32 characters or more; the first of several signs"),
    Described("SERVICE_TOKEN", "", "lets its bearer read /metrics from elsewhere than this machine"),
    Described("WORKERS", "1", "how many API processes `up` starts"),
    Described("HOLD_SECONDS", "60", "how long a reservation is held where the drop doesn't say"),
    Described("LIMITS_EXEMPT", "", "networks without rate limits; unset: loopback in development, else none"),
    Described("CORS_ORIGINS", "", "web origins that may call the API, separated by commas"),
    Described("PROVIDER_URL", PROVIDER_URL_DEFAULT, "the sandbox payment provider; `up` starts one if unset"),
    Described("LOG_LEVEL", "info", "debug, info, warning or error"),
)
_DEFAULTS = {described.name: described.default for described in DESCRIBED}


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
    service_token: str | None

    @property
    def development(self) -> bool:
        return self.mode == "development"


def read(environment: Mapping[str, str], *, mode: Mode = "production", signs: bool = True) -> Settings:
    """The settings of this environment.

    `mode` is the default where LIVEDROP_MODE is not set. `signs`: whether the process signs or verifies anything,
    so that production needs a key. Raises `BadSetting`.
    """

    def given(name: str, default: str = "") -> str:
        return environment.get(f"LIVEDROP_{name}", "") or default or _DEFAULTS[name]

    def several(name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in given(name).split(",") if part.strip())

    def number(name: str, least: int, most: int) -> int:
        text = given(name)
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise BadSetting(f"LIVEDROP_{name} must be a whole number from {least} to {most}, not {text!r}.")
        return int(text)

    chosen = given("MODE", mode)
    if chosen not in ("development", "production"):
        raise BadSetting(f"LIVEDROP_MODE must be development or production, not {chosen!r}.")
    development = chosen == "development"

    database_url = given("DATABASE_URL") or None
    if database_url and not database_url.startswith(("postgresql://", "postgres://")):
        raise BadSetting("LIVEDROP_DATABASE_URL must start with postgresql://.")

    keys = several("SECRET_KEY")
    if signs and not keys and not development:
        raise BadSetting(
            "LIVEDROP_SECRET_KEY is not set. Production mode needs one, at least 32 characters long; "
            f"for example: {secrets.token_urlsafe(32)}"
        )
    for key in keys:
        if len(key.encode()) < SECRET_BYTES_MIN:
            raise BadSetting(f"Each key in LIVEDROP_SECRET_KEY must have at least {SECRET_BYTES_MIN} characters.")

    try:
        exempt = tuple(ipaddress.ip_network(text) for text in several("LIMITS_EXEMPT"))
    except ValueError as error:
        raise BadSetting(f"LIVEDROP_LIMITS_EXEMPT must be networks such as 10.0.0.0/8: {error}.") from None

    level = given("LOG_LEVEL").lower()
    if level not in ("debug", "info", "warning", "error"):
        raise BadSetting(f"LIVEDROP_LOG_LEVEL must be debug, info, warning or error, not {level!r}.")

    host = given("HOST")
    port = number("PORT", 1, 65_535)
    return Settings(
        mode="development" if development else "production",
        database_url=database_url,
        data_dir=Path(given("DATA_DIR")).expanduser().absolute(),
        host=host,
        port=port,
        workers=number("WORKERS", 1, 64),
        secret_keys=keys,
        hold_seconds=number("HOLD_SECONDS", 1, 86_400),
        limits_exempt=exempt or (LOOPBACK if development else ()),
        cors_origins=several("CORS_ORIGINS"),
        log_level=level,
        provider_url=given("PROVIDER_URL"),
        public_url=given("PUBLIC_URL", f"http://{_in_url(host)}:{port}"),
        service_token=given("SERVICE_TOKEN") or None,
    )


def written(settings: Settings) -> dict[str, str]:
    """The environment that reads as these settings: what a process hands to its children."""
    return {
        "LIVEDROP_MODE": settings.mode,
        "LIVEDROP_DATABASE_URL": settings.database_url or "",
        "LIVEDROP_DATA_DIR": str(settings.data_dir),
        "LIVEDROP_HOST": settings.host,
        "LIVEDROP_PORT": str(settings.port),
        "LIVEDROP_WORKERS": str(settings.workers),
        "LIVEDROP_SECRET_KEY": ",".join(settings.secret_keys),
        "LIVEDROP_HOLD_SECONDS": str(settings.hold_seconds),
        "LIVEDROP_LIMITS_EXEMPT": ",".join(map(str, settings.limits_exempt)),
        "LIVEDROP_CORS_ORIGINS": ",".join(settings.cors_origins),
        "LIVEDROP_LOG_LEVEL": settings.log_level,
        "LIVEDROP_PROVIDER_URL": settings.provider_url,
        "LIVEDROP_PUBLIC_URL": settings.public_url,
        "LIVEDROP_SERVICE_TOKEN": settings.service_token or "",
    }


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach this address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _in_url(host: str) -> str:
    """The address as a client on this machine writes it."""
    match host:
        case "0.0.0.0" | "::":  # noqa: S104 - nothing is bound here
            return "127.0.0.1"
        case _ if ":" in host:
            return f"[{host}]"
    return host
