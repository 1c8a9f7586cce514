"""Behaviour of the rate limiter, on a clock that the test moves."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.deadline import deadline
from holdfast.errors import RateLimited
from holdfast.ratelimit import Rate, RateLimiter, admit
from holdfast.testing.clock import FakeClock


def admitted(limiter: RateLimiter, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            limiter.check()
        except RateLimited:
            continue
        count += 1
    return count


def test_a_burst_passes_at_once_and_the_next_call_is_told_when() -> None:
    clock = FakeClock()
    limiter = RateLimiter(Rate(10, burst=3), clock=clock)
    assert admitted(limiter, 3) == 3
    with pytest.raises(RateLimited) as refused:
        limiter.check()
    clock.advance(refused.value.retry_after)
    limiter.check()


def test_a_refused_call_spends_nothing() -> None:
    clock = FakeClock()
    limiter = RateLimiter(Rate(1), clock=clock)
    assert admitted(limiter, 1000) == 1
    clock.advance(1.0)
    assert admitted(limiter, 1000) == 1


def test_a_pause_saves_up_no_more_than_the_burst() -> None:
    clock = FakeClock()
    limiter = RateLimiter(Rate(10, burst=5), clock=clock)
    clock.advance(3600)
    assert admitted(limiter, 100) == 5


async def test_a_cancelled_wait_gives_its_place_back() -> None:
    clock = FakeClock()
    limiter = RateLimiter(Rate(1), clock=clock)
    limiter.check()
    waiter = asyncio.create_task(limiter.wait())
    await clock.until_waiting()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    clock.advance(1.0)
    limiter.check()


async def test_a_wait_longer_than_allowed_is_refused_at_once() -> None:
    limiter = RateLimiter(Rate(1), clock=FakeClock())
    limiter.check()
    with pytest.raises(RateLimited):
        await limiter.wait(max_wait=0.5)


async def test_a_wait_beyond_the_enclosing_deadline_is_not_begun_and_spends_nothing() -> None:
    clock = FakeClock()
    limiter = RateLimiter(Rate(1), max_wait=60.0, clock=clock)
    limiter.check()
    with deadline(0.5, clock=clock):
        for call in (lambda: limiter.call(pytest.fail, "let in"), lambda: asyncio.run(limiter.wait())):
            with pytest.raises(RateLimited) as refused:
                await asyncio.to_thread(call)
            assert refused.value.retry_after == 1.0
    clock.advance(1.0)
    with deadline(0.5, clock=clock):
        await limiter.wait()


async def test_waiting_callers_go_in_the_order_in_which_they_came() -> None:
    clock, gone = FakeClock(), list[int]()
    limiter = RateLimiter(Rate(1), max_wait=10.0, clock=clock)

    @limiter
    async def go(number: int) -> None:
        gone.append(number)

    tasks = [asyncio.create_task(go(number)) for number in range(4)]
    await clock.until_waiting(3)
    for second in range(1, 4):
        clock.advance(1.0)
        await tasks[second]
        assert gone == list(range(second + 1))


def test_a_guarded_sync_call_waits_for_its_turn() -> None:
    clock = FakeClock()
    began = RateLimiter(Rate(1), max_wait=1.0, clock=clock)(clock.monotonic)
    first = began()
    assert [began(), began()] == [first + 1.0, first + 2.0]


def test_a_guarded_call_is_refused_and_not_made_when_its_turn_is_too_far_off() -> None:
    limiter, made = RateLimiter(Rate(1), max_wait=0.5, clock=FakeClock()), list[int]()
    limiter.call(made.append, 1)
    with pytest.raises(RateLimited):
        limiter.call(made.append, 2)
    assert made == [1]


@pytest.mark.parametrize("cost", [0, 4])
def test_a_cost_that_could_never_pass_is_an_error(cost: int) -> None:
    with pytest.raises(ValueError, match="between 1 and the burst of 3"):
        RateLimiter(Rate(1, burst=3)).check(cost)


@given(
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=200),
    limit=st.floats(0.1, 100),
    burst=st.integers(1, 20),
)
def test_no_window_admits_more_than_the_burst_and_the_rate(gaps: list[float], limit: float, burst: int) -> None:
    rate, tat, now, times = Rate(limit, burst=burst), 0.0, 0.0, list[float]()
    for gap in gaps:
        now += gap
        arrival, delay = admit(tat, now, rate)
        if not delay:
            tat = arrival
            times.append(now)
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + (times[last] - times[first]) * limit + 1e-6
