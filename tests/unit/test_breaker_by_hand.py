"""A breaker that is isolated, observed, forced closed, released or reset by hand."""

from __future__ import annotations

import math

import pytest

from holdfast.breaker import State
from holdfast.errors import CircuitOpen
from holdfast.testing.clock import FakeClock
from tests.support.breakers import breaker_of, half_opened, opened, run, state


def test_an_isolated_breaker_lets_nobody_through_however_long_it_takes() -> None:
    clock = FakeClock()
    breaker = breaker_of(clock)
    breaker.isolate()
    for _ in range(3):
        clock.advance(86_400.0)
        with pytest.raises(CircuitOpen, match="isolated") as refused:
            breaker.call(pytest.fail, "called although isolated")
        assert 0 < refused.value.retry_after < math.inf


def test_a_released_breaker_probes_first() -> None:
    breaker = breaker_of(FakeClock())
    breaker.isolate()
    breaker.release()
    assert state(breaker) is State.HALF_OPEN
    run(breaker, "x")
    assert state(breaker) is State.OPEN


def test_release_does_nothing_to_a_breaker_that_is_not_isolated() -> None:
    clock = FakeClock()
    for breaker in (breaker_of(clock), opened(clock)):
        before = breaker.snapshot()
        breaker.release()
        assert breaker.snapshot() == before


def test_reset_closes_it_whatever_it_was() -> None:
    clock = FakeClock()
    isolated = breaker_of(clock)
    isolated.isolate()
    for breaker in (breaker_of(clock), opened(clock), half_opened(clock), isolated):
        breaker.reset()
        assert (state(breaker), breaker.snapshot().calls) == (State.CLOSED, 0)


def test_while_it_only_observes_it_counts_and_lets_everyone_through() -> None:
    breaker = breaker_of(FakeClock())
    breaker.observe()
    run(breaker, "x" * 50 + ".")
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.calls, snapshot.failures) == (State.METRICS_ONLY, 51, 50)
    assert breaker.state.passes
    breaker.release()
    assert (state(breaker), breaker.snapshot().calls) == (State.CLOSED, 0)
    run(breaker, "xxxx")
    assert state(breaker) is State.OPEN
    assert not breaker.state.passes


def test_an_open_breaker_can_be_forced_closed_and_then_counts_nothing() -> None:
    breaker = opened(FakeClock())
    breaker.force_close()
    run(breaker, "x" * 50 + ".")
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.calls, snapshot.retry_after) == (State.FORCED_CLOSED, 0, 0.0)
    assert breaker.state.passes
    breaker.release()
    assert state(breaker) is State.CLOSED
    run(breaker, "xxxx")
    assert state(breaker) is State.OPEN


def test_what_began_before_it_was_forced_says_nothing_afterwards() -> None:
    breaker = breaker_of(FakeClock())
    old = [breaker.acquire() for _ in range(8)]
    for change in (breaker.observe, breaker.force_close, breaker.isolate, breaker.reset):
        change()
        old.pop().failure()
        old.pop().success()
        assert breaker.snapshot().calls == 0
