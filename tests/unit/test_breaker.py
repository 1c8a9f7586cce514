"""Behaviour of one breaker: what it does to a call, and when it opens."""

from __future__ import annotations

import math

import pytest

from holdfast.breaker import BreakerOptions, State
from holdfast.errors import CircuitOpen
from holdfast.testing.clock import FakeClock
from tests.support.breakers import Down, breaker_of, fail, half_opened, opened, run, state


def test_a_closed_breaker_changes_nothing_about_a_call() -> None:
    breaker = breaker_of(FakeClock())
    assert breaker.call(divmod, 7, 2) == (3, 1)
    assert breaker.call(dict, a=1) == {"a": 1}
    with pytest.raises(ZeroDivisionError):
        breaker.call(divmod, 1, 0)


async def test_an_async_call_is_guarded_like_a_sync_one() -> None:
    breaker = breaker_of(FakeClock())

    async def echo(value: str) -> str:
        return value

    async def afail() -> None:
        fail()

    assert await breaker.acall(echo, "hello") == "hello"
    for _ in range(3):
        with pytest.raises(Down):
            await breaker.acall(afail)
    with pytest.raises(CircuitOpen):
        await breaker.acall(echo, "hello")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("xxx", State.CLOSED),  # too few to judge
        ("xxxx", State.OPEN),
        ("..xx", State.OPEN),  # exactly at the rate
        ("...x", State.CLOSED),
        ("xxx.", State.OPEN),  # a good call may be the one that makes it enough to judge
        ("." * 100 + "x" * 49, State.CLOSED),
        ("." * 1000 + "x" * 50, State.OPEN),  # only the last hundred are judged
    ],
)
def test_it_opens_at_the_failure_rate_once_there_are_calls_enough_to_judge(outcomes: str, expected: State) -> None:
    breaker = breaker_of(FakeClock())
    run(breaker, outcomes)
    assert state(breaker) is expected


def test_failures_that_have_left_the_count_window_are_forgotten() -> None:
    breaker = breaker_of(FakeClock(), BreakerOptions(window_size=4, minimum_calls=4))
    run(breaker, "x....x...")
    assert breaker.snapshot().failures == 1
    run(breaker, ".")
    assert breaker.snapshot().failures == 0
    assert state(breaker) is State.CLOSED


def test_a_time_window_forgets_what_is_older_than_itself() -> None:
    clock = FakeClock()
    breaker = breaker_of(clock, BreakerOptions(window="time", window_size=10.0, minimum_calls=4))
    run(breaker, "xxx")
    clock.advance(11.0)
    run(breaker, "x.")
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (2, 1)
    clock.advance(5.0)
    run(breaker, "xx")
    assert state(breaker) is State.OPEN


def test_a_time_window_counts_good_calls_in_their_own_time() -> None:
    clock = FakeClock()
    breaker = breaker_of(clock, BreakerOptions(window="time", window_size=10.0))
    run(breaker, "....")
    clock.advance(11.0)
    run(breaker, ".")
    assert breaker.snapshot().calls == 1


def test_an_idle_time_window_ends_up_empty() -> None:
    clock = FakeClock()
    breaker = breaker_of(clock, BreakerOptions(window="time", window_size=10.0))
    run(breaker, ".x.x")
    clock.advance(86_400.0)
    snapshot = breaker.snapshot()
    assert (snapshot.calls, snapshot.failures, snapshot.failure_rate) == (0, 0, 0.0)


@pytest.mark.parametrize("window", ["count", "time"])
def test_slow_calls_open_it_although_they_succeed(window: str) -> None:
    clock = FakeClock()
    options = BreakerOptions(window=window, minimum_calls=4, slow_call_duration=2.0, slow_call_rate=0.5)  # type: ignore[arg-type]
    breaker = breaker_of(clock, options)
    for seconds in (0.1, 2.0, 1.9):
        breaker.call(clock.pause, seconds)
    assert (breaker.snapshot().slow, state(breaker)) == (1, State.CLOSED)
    breaker.call(clock.pause, 3.0)
    assert (state(breaker), breaker.snapshot().reason) == (State.OPEN, "slow_call_rate")


def test_an_open_breaker_whose_time_is_over_says_that_it_would_let_a_probe_through() -> None:
    breaker = half_opened(FakeClock())
    assert state(breaker) is State.HALF_OPEN
    assert (breaker.snapshot().state, breaker.snapshot().retry_after) == (State.HALF_OPEN, 0.0)


def test_the_wall_clock_may_jump_and_nothing_happens() -> None:
    clock = FakeClock()
    breaker = opened(clock)
    began = breaker.snapshot().since
    for jump in (5 * 3600, -10 * 3600):
        clock.correct(jump)
        assert (state(breaker), breaker.snapshot().retry_after) == (State.OPEN, 5.0)
    clock.advance(5.0)
    run(breaker, ".")
    assert breaker.snapshot().since == began + 5.0 - 5 * 3600


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"window": "calls"}, "window"),
        ({"window_size": 0}, "window_size"),
        ({"window_size": 2.5}, "window_size"),
        ({"window": "time", "window_size": math.inf}, "window_size"),
        ({"window_size": 5}, "minimum_calls"),
        ({"minimum_calls": 0}, "minimum_calls"),
        ({"failure_rate": 0.0}, "failure_rate"),
        ({"failure_rate": 50}, "failure_rate"),
        ({"failure_rate": math.nan}, "failure_rate"),
        ({"slow_call_rate": 1.1}, "slow_call_rate"),
        ({"slow_call_duration": 0.0}, "slow_call_duration"),
        ({"open_duration": 0.0}, "open_duration"),
        ({"open_duration": math.inf}, "open_duration"),
        ({"probes": 0}, "probes"),
        ({"probe_lease": math.inf}, "probe_lease"),
        ({"probe_successes": 0}, "probe_successes"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options: dict[str, object], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be .*, got "):
        BreakerOptions(**options)  # type: ignore[arg-type]
