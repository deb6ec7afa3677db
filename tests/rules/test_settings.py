"""The settings: what they accept, and that children read what their parent wrote."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import msgspec
import pytest

from livedrop.settings import DESCRIBED, LOOPBACK, BadSetting, Settings, is_loopback, read, written

KEY = "k" * 32


def test_defaults_of_development() -> None:
    settings = read({}, mode="development")
    assert settings.development
    assert settings.database_url is None
    assert settings.data_dir == Path(".livedrop").absolute()
    assert (settings.host, settings.port, settings.workers, settings.hold_seconds) == ("127.0.0.1", 4000, 1, 60)
    assert settings.limits_exempt == LOOPBACK
    assert settings.public_url == "http://127.0.0.1:4000"


def test_production_exempts_nobody_and_needs_a_key_only_where_something_is_signed() -> None:
    assert read({"LIVEDROP_SECRET_KEY": KEY}).limits_exempt == ()
    with pytest.raises(BadSetting, match="LIVEDROP_SECRET_KEY is not set"):
        read({})
    assert read({}, signs=False).secret_keys == ()


def test_an_empty_variable_is_an_unset_one() -> None:
    assert read({f"LIVEDROP_{setting.name}": "" for setting in DESCRIBED}, mode="development") == read(
        {}, mode="development"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODE", "test"),
        ("DATABASE_URL", "mysql://localhost/shop"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", f"{KEY},short"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "four thousand"),
        ("PORT", "٤٠٠٠"),
        ("WORKERS", "0"),
        ("HOLD_SECONDS", "86401"),
        ("LIMITS_EXEMPT", "10.0.0.0/33"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_setting(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"LIVEDROP_{name}"):
        read({f"LIVEDROP_{name}": value}, mode="development")


def test_children_read_what_was_written_for_them() -> None:
    settings = Settings(
        mode="production",
        database_url="postgresql://livedrop@/postgres?host=/tmp/x&port=5432",
        data_dir=Path("/srv/live drop"),
        host="::1",
        port=4001,
        workers=3,
        secret_keys=(KEY, KEY[::-1]),
        hold_seconds=90,
        limits_exempt=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")),
        cors_origins=("https://shop.example", "https://other.example"),
        log_level="debug",
        provider_url="http://127.0.0.1:5000",
        public_url="https://drops.example",
        service_token="t" * 40,
    )
    assert read(written(settings)) == settings


def test_every_setting_is_described_and_written() -> None:
    described = {f"LIVEDROP_{setting.name}" for setting in DESCRIBED}
    assert described == set(written(read({}, mode="development")))
    plural = {"SECRET_KEYS"}  # its variable is called SECRET_KEY
    fields = {field.name.upper() for field in msgspec.structs.fields(Settings)} - plural | {"SECRET_KEY"}
    assert {f"LIVEDROP_{name}" for name in fields} == described


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
