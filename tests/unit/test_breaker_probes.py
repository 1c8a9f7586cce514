"""How a breaker finds its way back: a few probes, each on a lease."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.backoff import exponential
from holdfast.breaker import BreakerOptions, State
from holdfast.errors import CircuitOpen
from holdfast.testing.clock import FakeClock
from tests.support.breakers import Down, half_opened, run, state


def test_a_good_probe_closes_it_with_an_empty_window() -> None:
    breaker = half_opened(FakeClock())
    run(breaker, ".")
    assert state(breaker) is State.CLOSED
    run(breaker, "xxx")
    assert state(breaker) is State.CLOSED


def test_it_closes_only_after_as_many_good_probes_as_it_was_told() -> None:
    breaker = half_opened(FakeClock(), BreakerOptions(minimum_calls=4, probe_successes=3))
    run(breaker, "..")
    assert state(breaker) is State.HALF_OPEN
    run(breaker, ".")
    assert state(breaker) is State.CLOSED


def test_one_bad_probe_opens_it_again() -> None:
    breaker = half_opened(FakeClock(), BreakerOptions(minimum_calls=4, probe_successes=3))
    run(breaker, "..x")
    assert (state(breaker), breaker.snapshot().reason) == (State.OPEN, "probe_failed")


def test_a_slow_probe_is_a_bad_one() -> None:
    clock = FakeClock()
    breaker = half_opened(clock, BreakerOptions(minimum_calls=4, slow_call_duration=2.0))
    breaker.call(clock.pause, 2.0)
    assert (state(breaker), breaker.snapshot().reason) == (State.OPEN, "probe_slow")


def test_it_stays_open_longer_each_time_until_it_has_closed() -> None:
    clock = FakeClock()
    growing = exponential(5.0, 60.0, jitter="none")
    breaker = half_opened(clock, BreakerOptions(minimum_calls=4, open_duration=growing))
    waits = []
    for _ in range(5):
        run(breaker, "x")
        waits.append(breaker.snapshot().retry_after)
        clock.advance(waits[-1])
    assert waits == [10.0, 20.0, 40.0, 60.0, 60.0]
    run(breaker, ".xxxx")
    assert breaker.snapshot().retry_after == 5.0


@pytest.mark.parametrize("permitted", [1, 3])
async def test_a_hundred_callers_at_the_half_open_moment_are_exactly_the_permitted_probes(permitted: int) -> None:
    breaker = half_opened(FakeClock(), BreakerOptions(minimum_calls=4, probes=permitted, probe_successes=permitted))
    inside, answer = 0, asyncio.Event()

    async def probe() -> None:
        nonlocal inside
        inside += 1
        await answer.wait()

    callers = [asyncio.create_task(breaker.acall(probe)) for _ in range(100)]
    _, waiting = await asyncio.wait(callers, return_when=asyncio.FIRST_EXCEPTION)
    answer.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert (inside, len(waiting)) == (permitted, permitted)
    assert sum(isinstance(outcome, CircuitOpen) for outcome in outcomes) == 100 - permitted
    assert state(breaker) is State.CLOSED


def test_a_hung_probe_loses_its_place_when_its_lease_is_over() -> None:
    clock = FakeClock()
    breaker = half_opened(clock, BreakerOptions(minimum_calls=4, probe_lease=30.0))
    hung = breaker.acquire()
    clock.advance(29.0)
    with pytest.raises(CircuitOpen) as refused:
        breaker.acquire()
    assert refused.value.retry_after == 1.0
    clock.advance(1.0)
    breaker.acquire().success()
    assert state(breaker) is State.CLOSED
    hung.failure(Down())
    assert (state(breaker), breaker.snapshot().failures) == (State.CLOSED, 0)


def test_a_late_answer_counts_as_long_as_nobody_else_has_the_place() -> None:
    clock = FakeClock()
    breaker = half_opened(clock, BreakerOptions(minimum_calls=4, probe_lease=30.0))
    probe = breaker.acquire()
    clock.advance(3600.0)
    probe.success()
    assert state(breaker) is State.CLOSED


async def test_a_cancelled_probe_gives_its_place_back() -> None:
    breaker = half_opened(FakeClock())
    task = asyncio.create_task(breaker.acall(asyncio.Event().wait))
    await asyncio.sleep(0)
    assert breaker.snapshot().retry_after > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert state(breaker) is State.HALF_OPEN
    run(breaker, ".")
    assert state(breaker) is State.CLOSED
