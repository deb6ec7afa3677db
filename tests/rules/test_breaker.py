"""The breaker, by a clock that stands until it is moved."""

from __future__ import annotations

import pytest

from livedrop.payments.providers.breaker import (
    FAILURES_MAX,
    OPEN_SECONDS,
    PROBES_MAX,
    REFUSED_COUNTS_AS,
    WINDOW_SECONDS,
    Breaker,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def fail(breaker: Breaker, times: int, *, refused: bool = False) -> None:
    for _ in range(times):
        breaker.failed(breaker.calling(), refused=refused)


def test_it_opens_after_many_failures_in_a_row(breaker: Breaker) -> None:
    fail(breaker, FAILURES_MAX - 1)
    assert not breaker.is_open
    fail(breaker, 1)
    assert breaker.is_open


def test_refused_connections_open_it_sooner(breaker: Breaker) -> None:
    fail(breaker, FAILURES_MAX // REFUSED_COUNTS_AS, refused=True)
    assert breaker.is_open


def test_an_answer_in_between_starts_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, FAILURES_MAX - 1)
    breaker.answered()
    fail(breaker, FAILURES_MAX - 1)
    assert not breaker.is_open


def test_calls_that_fail_while_others_are_answered_do_not_count(breaker: Breaker, clock: Clock) -> None:
    began = [breaker.calling() for _ in range(FAILURES_MAX)]
    clock.now += 4
    breaker.answered()
    clock.now += 1
    for moment in began:
        breaker.failed(moment, refused=False)
    assert not breaker.is_open


def test_failures_long_ago_do_not_count(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES_MAX - 1)
    clock.now += WINDOW_SECONDS + 0.1
    fail(breaker, 1)
    assert not breaker.is_open


@pytest.fixture
def open_breaker(breaker: Breaker) -> Breaker:
    fail(breaker, FAILURES_MAX)
    assert breaker.is_open
    return breaker


def test_after_a_while_some_probes_are_let_through(open_breaker: Breaker, clock: Clock) -> None:
    clock.now += OPEN_SECONDS
    for _ in range(PROBES_MAX):
        assert not open_breaker.is_open, "one alone might be a slow card's"
        open_breaker.calling()
    assert open_breaker.is_open, "the probes are under way; nobody else goes"


def test_long_afterwards_nobody_is_refused(open_breaker: Breaker, clock: Clock) -> None:
    """Red with a single probe: a crowd's first charge, a slow card's, kept all others out."""
    clock.now += 300
    for _ in range(PROBES_MAX + 1):
        open_breaker.calling()
    assert not open_breaker.is_open


def test_a_probe_that_is_answered_closes_it(open_breaker: Breaker, clock: Clock) -> None:
    clock.now += OPEN_SECONDS
    open_breaker.calling()
    open_breaker.answered()
    assert not open_breaker.is_open
    fail(open_breaker, FAILURES_MAX - 1)
    assert not open_breaker.is_open


def test_a_probe_that_fails_opens_it_again(open_breaker: Breaker, clock: Clock) -> None:
    clock.now += OPEN_SECONDS
    fail(open_breaker, 1)
    assert open_breaker.is_open
    clock.now += OPEN_SECONDS
    assert not open_breaker.is_open


def test_probes_that_were_given_up_do_not_keep_it_open(open_breaker: Breaker, clock: Clock) -> None:
    clock.now += OPEN_SECONDS
    for _ in range(PROBES_MAX):
        open_breaker.calling()
    clock.now += WINDOW_SECONDS + 0.1
    assert not open_breaker.is_open


def test_calls_that_began_earlier_do_not_keep_it_open_for_longer(open_breaker: Breaker, clock: Clock) -> None:
    began = clock.now
    clock.now += OPEN_SECONDS - 0.1
    open_breaker.failed(began, refused=False)
    clock.now += 0.1
    assert not open_breaker.is_open


def test_an_answer_to_an_earlier_call_closes_it(open_breaker: Breaker) -> None:
    open_breaker.answered()
    assert not open_breaker.is_open
