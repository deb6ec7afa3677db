"""Against whom failed sign-ins are counted, and when the next one has to wait."""

from __future__ import annotations

import ipaddress

import pytest

from livedrop.accounts.rules import (
    FAILURES_PER_ACCOUNT_MAX,
    FAILURES_PER_ADDRESS_MAX,
    Failures,
    account_subject,
    address_subject,
    seconds_to_wait,
)
from livedrop.settings import LOOPBACK


def test_an_account_is_the_same_in_all_cases_and_unreadable() -> None:
    assert account_subject(" Ada@Example.COM ") == account_subject("ada@example.com")
    assert account_subject("ada@example.com") != account_subject("eda@example.com")
    assert "ada" not in account_subject("ada@example.com")


@pytest.mark.parametrize(
    ("host", "subject"),
    [
        ("203.0.113.7", "address:203.0.113.7"),
        ("::ffff:203.0.113.7", "address:203.0.113.7"),
        ("2001:db8:1:2:3::4", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("testclient", "address:testclient"),
        (None, None),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
    ],
)
def test_an_address_counts_where_it_is_one_and_not_exempt(host: str | None, subject: str | None) -> None:
    assert address_subject(host, LOOPBACK) == subject


def test_nothing_is_exempt_unless_said() -> None:
    assert address_subject("127.0.0.1", ()) == "address:127.0.0.1"
    assert address_subject("10.1.2.3", [ipaddress.ip_network("10.0.0.0/8")]) is None


@pytest.mark.parametrize(
    ("account", "address", "seconds"),
    [
        (FAILURES_PER_ACCOUNT_MAX - 1, FAILURES_PER_ADDRESS_MAX - 1, 0),
        (FAILURES_PER_ACCOUNT_MAX, 0, 100),
        (0, FAILURES_PER_ADDRESS_MAX, 200),
        (FAILURES_PER_ACCOUNT_MAX, FAILURES_PER_ADDRESS_MAX, 200),
    ],
)
def test_too_many_failures_have_to_wait_for_the_window_to_end(account: int, address: int, seconds: int) -> None:
    counted = {
        account_subject("ada@example.com"): Failures(account, 100),
        "address:203.0.113.7": Failures(address, 200),
    }
    assert seconds_to_wait(counted) == seconds


def test_who_never_failed_never_waits() -> None:
    assert seconds_to_wait({}) == 0
