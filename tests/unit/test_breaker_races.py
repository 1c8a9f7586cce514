"""One breaker among many threads and event loops."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from holdfast.breaker import BreakerOptions, CircuitBreaker, State
from holdfast.errors import CircuitOpen
from holdfast.events import Event
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Long enough for a machine that is busy with other things; nothing waits for it unless it fails.
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _restless_threads() -> Iterator[None]:
    """Switch threads as often as the interpreter can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def together(count: int, work: Callable[[], object]) -> list[object]:
    """Do it in so many threads that start at the same moment; return what they returned or raised."""
    start = threading.Barrier(count, timeout=PATIENCE)

    def run() -> object:
        start.wait()
        return work()

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(run) for _ in range(count)]
        return [future.exception(PATIENCE) or future.result(PATIENCE) for future in futures]


def half_opened(options: BreakerOptions) -> CircuitBreaker:
    clock = FakeClock()
    breaker = CircuitBreaker("store", options, clock=clock)
    for _ in range(options.minimum_calls):
        breaker.acquire().failure()
    clock.advance(options.open_for(1))
    return breaker


def test_no_lock_is_held_while_a_call_runs() -> None:
    breaker = CircuitBreaker("store")
    all_inside = threading.Barrier(8, timeout=PATIENCE)
    assert sorted(map(str, together(8, lambda: breaker.call(all_inside.wait)))) == list("01234567")


@pytest.mark.parametrize("permitted", [1, 4])
def test_a_hundred_threads_at_the_half_open_moment_are_exactly_the_permitted_probes(permitted: int) -> None:
    breaker = half_opened(BreakerOptions(probes=permitted, probe_successes=permitted))
    refused, all_refused = list[CircuitOpen](), threading.Event()

    def attempt() -> str:
        try:
            breaker.call(all_refused.wait, PATIENCE)
        except CircuitOpen as error:
            refused.append(error)
            if len(refused) == 100 - permitted:
                all_refused.set()
            return "refused"
        return "let through"

    outcomes = together(100, attempt)
    assert outcomes.count("let through") == permitted
    assert breaker.state is State.CLOSED


def test_many_threads_that_fail_at_once_open_it_once() -> None:
    heard, rounds = list[Event](), 500
    breaker = CircuitBreaker("store", BreakerOptions(minimum_calls=1), listener=heard.append)
    anew = threading.Barrier(4, breaker.reset, timeout=PATIENCE)
    at_once = threading.Barrier(4, timeout=PATIENCE)

    def work() -> None:
        for _ in range(rounds):
            anew.wait()
            permit = breaker.acquire()
            at_once.wait()
            permit.failure()

    assert together(4, work) == [None] * 4
    assert [event.attributes["to"] for event in heard].count("open") == rounds


@pytest.mark.parametrize("window", ["count", "time"])
def test_no_call_goes_uncounted_however_many_threads_and_event_loops_make_them(window: str) -> None:
    # Time stands still, so that every call stays in the window.
    options = BreakerOptions(window=window, window_size=1e6, minimum_calls=10**6)  # type: ignore[arg-type]
    breaker = CircuitBreaker("store", options, clock=FakeClock())

    async def succeed() -> None:
        await asyncio.sleep(0)

    async def fail() -> None:
        raise ConnectionResetError

    async def some_calls() -> None:
        for number in range(1_000):
            await asyncio.gather(breaker.acall(fail if number == 990 else succeed), return_exceptions=True)

    def work() -> None:
        for _ in range(2_000):
            breaker.call(int)
        asyncio.run(some_calls())

    assert together(4, work) == [None] * 4
    breaker.call(int)
    snapshot = breaker.snapshot()
    assert (snapshot.calls, snapshot.failures) == (4 * 3_000 + 1, 4)


def test_a_small_window_stays_right_while_threads_crowd_into_it() -> None:
    # Every thread fails every other time, so no ten calls in a row can all be failures.
    breaker = CircuitBreaker("store", BreakerOptions(window_size=10, failure_rate=1.0), clock=FakeClock())

    def work() -> None:
        for _ in range(3_000):
            breaker.acquire().failure()
            breaker.acquire().success()

    assert together(4, work) == [None] * 4
    for left in range(9, -1, -1):
        breaker.acquire().success()
        assert breaker.snapshot().failures <= left
