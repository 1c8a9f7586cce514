"""Every policy, alone and composed, under cancellation, jumping clocks, threads and event loops: nothing leaks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.adaptive import AdaptiveLimit, Aimd
from holdfast.backoff import constant
from holdfast.breaker import BreakerOptions, CircuitBreaker, State
from holdfast.budget import RetryBudget
from holdfast.bulkhead import Bulkhead
from holdfast.chaos import Chaos
from holdfast.clock import Clock
from holdfast.concurrency import ConcurrencyManager
from holdfast.errors import Unavailable
from holdfast.failover import Endpoint, EndpointPool, PoolOptions
from holdfast.fallback import Fallback
from holdfast.hedge import Hedge
from holdfast.partitioned import Partitioned
from holdfast.policy import compose
from holdfast.ratelimit import Rate, RateLimiter
from holdfast.retry import Retry
from holdfast.stale import StaleOnError
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout

PATIENCE = 30.0


def instead(error: Exception) -> Any:
    """Makes the answer by awaiting, which is one more moment to be cancelled at."""

    async def later() -> str:
        await asyncio.sleep(0)
        return "instead"

    return later()


# Small enough that everybody gets in everybody's way.
MAKERS: dict[str, Callable[[Clock], Any]] = {
    "adaptive": lambda clock: AdaptiveLimit(Aimd(), initial=2, largest=2, queue=2, max_wait=5.0, clock=clock),
    "breaker": lambda clock: CircuitBreaker("b", BreakerOptions(minimum_calls=1, open_duration=3.0), clock=clock),
    "bulkhead": lambda clock: Bulkhead(2, queue=2, max_wait=5.0, clock=clock),
    "chaos": lambda clock: Chaos(enabled=True, latency_rate=0.5, fault_rate=0.1, seed=1, clock=clock),
    "fallback": lambda clock: Fallback(instead),
    "hedge": lambda clock: Hedge(1.0, tries=3, budget=RetryBudget(clock=clock), clock=clock),
    "partitioned": lambda clock: Partitioned(
        lambda _: Bulkhead(2, queue=2, max_wait=5.0, clock=clock), key=lambda number: number % 3, size=1
    ),
    "ratelimit": lambda clock: RateLimiter(Rate(1, burst=2), max_wait=9.0, clock=clock),
    "retry": lambda clock: Retry(3, constant(1.0), budget=RetryBudget(clock=clock), clock=clock),
    "stale": lambda clock: StaleOnError(60.0, clock=clock),
    "timeout": lambda clock: Timeout(4.0, clock=clock),
    "abandon": lambda clock: Timeout(4.0, abandon=True, clock=clock),
}


class Work:
    """Calls that end, fail or hang as their number says; every one of them awaits, also when it is cancelled."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.running = 0

    async def __call__(self, number: int) -> int:
        self.running += 1
        try:
            await asyncio.sleep(0)
            await self.clock.sleep(number)
            if number % 3 == 1:
                raise Unavailable("down")
            return number
        finally:
            try:
                await asyncio.sleep(0)
            finally:
                self.running -= 1


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def assert_nothing_is_held(policies: list[Any], clock: FakeClock) -> None:
    for policy in policies:
        if isinstance(policy, Partitioned):
            parts = policy.policies()
            assert len(parts) <= 1
            assert_nothing_is_held([*parts.values()], clock)
        if isinstance(policy, (Bulkhead, AdaptiveLimit)):
            assert (policy.running, policy.waiting) == (0, 0)
        if isinstance(policy, CircuitBreaker) and policy.state is State.HALF_OPEN:
            policy.acquire().release()
        if isinstance(policy, RateLimiter):
            clock.advance(2.0)
            policy.check(2)


async def live(kinds: list[str], story: list[tuple[str, int]]) -> None:
    """Begin (+) and cancel (c) calls, let time pass (t), correct the wall clock (w), with few or many turns between."""
    clock, reported = FakeClock(), list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    work, policies = Work(clock), [MAKERS[kind](clock) for kind in kinds]
    guarded = compose(*policies)
    tasks = list[asyncio.Task[int]]()
    for step, number in story:
        if step == "+":
            tasks.append(asyncio.create_task(guarded.acall(work, number)))
        elif step == "t":
            clock.advance(number**3 if number == 9 else number / 2)
        elif step == "w":
            clock.correct((number - 5) * 3_600.0)
        elif tasks:
            tasks[number % len(tasks)].cancel()
        await turns(number % 5)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [error for error in ended if isinstance(error, (ValueError, TypeError, RuntimeError))]
    await turns(50)  # for what was abandoned
    assert (work.running, clock.waiting) == (0, 0)
    assert_nothing_is_held(policies, clock)
    assert reported == []


stories = st.lists(st.tuples(st.sampled_from("++++cctttw"), st.integers(0, 9)), min_size=10, max_size=60)


@settings(max_examples=250, deadline=None)
@given(kinds=st.lists(st.sampled_from(sorted(MAKERS)), min_size=1, max_size=4), story=stories)
def test_nothing_is_leaked_wherever_calls_are_cancelled_and_however_the_clocks_jump(
    kinds: list[str], story: list[tuple[str, int]]
) -> None:
    asyncio.run(live(kinds, story))


@pytest.mark.parametrize("kind", MAKERS)
async def test_cancellation_at_every_await_point_leaks_nothing(kind: str) -> None:
    points = 0
    for turn in range(200):
        clock = FakeClock()
        work, policy = Work(clock), MAKERS[kind](clock)
        others = [asyncio.create_task(policy.acall(work, 2)) for _ in range(2)]
        task = asyncio.create_task(policy.acall(work, 1))
        for passed in range(turn):
            await asyncio.sleep(0)
            if passed % 6 == 5:
                clock.advance(0.5)
        points += not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await turns(50)
        assert (work.running, clock.waiting) == (0, 0)
        assert_nothing_is_held([policy], clock)
    assert 3 < points < 200  # it was cancelled from its first moment to after its last


async def cancelled_after(clock: FakeClock, running: Coroutine[Any, Any, object], turn: int) -> bool:
    """Whether it was still running when it was cancelled, so many turns after its begin."""
    task = asyncio.create_task(running)
    for passed in range(turn):
        await asyncio.sleep(0)
        if passed % 6 == 5:
            clock.advance(0.5)
    ran = not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await turns(50)
    return ran


async def test_a_run_of_many_calls_that_is_cancelled_at_any_point_leaks_nothing() -> None:
    points = 0
    for turn in range(300):
        clock = FakeClock()
        work = Work(clock)
        manager = ConcurrencyManager(2, queue_size=3, timeout=4.0, batch_size=4, delay_between_batches=1.0, clock=clock)
        points += await cancelled_after(clock, manager.map(work, [1, 2, 3, 0, 2, 5]), turn)
        assert (work.running, clock.waiting) == (0, 0)
        assert [outcome.value for outcome in await manager.map(asyncio.sleep, [0] * 4)] == [None] * 4
    assert 3 < points < 300


async def test_a_call_to_a_pool_that_is_cancelled_at_any_point_leaks_nothing() -> None:
    points = 0
    for turn in range(200):
        clock = FakeClock()
        work, probing = Work(clock), BreakerOptions(minimum_calls=1, open_duration=0.5)
        options = PoolOptions(attempts=4, backoff=constant(0.5), timeout=3.0, breaker=probing)
        pool = EndpointPool(
            "x", [Endpoint("a", "10.0.0.1", 1), Endpoint("b", "10.0.0.1", 4)], options=options, clock=clock
        )

        async def ask(endpoint: Endpoint, work: Work = work) -> int:
            return await work(endpoint.port)

        points += await cancelled_after(clock, pool.aexecute_with_failover(ask), turn)
        assert (work.running, clock.waiting, pool.stats().in_flight) == (0, 0, 0)
        clock.advance(1.0)
        for _ in range(2):
            with pool.lease():
                assert pool.stats().in_flight == 1
    assert 3 < points < 200


SHARED: dict[str, Callable[[], Any]] = {
    "adaptive": lambda: AdaptiveLimit(Aimd(), initial=2, largest=3, queue=1_000),
    "breaker": lambda: CircuitBreaker("b"),
    "bulkhead": lambda: Bulkhead(2, queue=1_000),
    "ratelimit": lambda: RateLimiter(Rate(100_000, burst=2), max_wait=60.0),
    "retry": lambda: Retry(5, constant(1e-6), budget=RetryBudget(9.0, reserve=1e9)),
    "stale": lambda: StaleOnError(60.0, size=2),
    "timeout": lambda: Timeout(60.0),
    "hedge": lambda: Hedge(0.0),
}


@pytest.mark.parametrize("kind", SHARED)
def test_many_threads_and_event_loops_share_one_policy(kind: str) -> None:
    policy = SHARED[kind]()

    async def later(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def loop() -> list[int]:
        return await asyncio.gather(*(policy.acall(later, number) for number in range(50)))

    def thread() -> None:
        for _ in range(4):
            assert asyncio.run(loop()) == list(range(50))
            if kind != "hedge":
                assert [policy.call(abs, -number) for number in range(50)] == list(range(50))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(thread) for _ in range(4)]:
                done.result(PATIENCE)
    finally:
        sys.setswitchinterval(interval)
    if isinstance(policy, (Bulkhead, AdaptiveLimit)):
        assert (policy.running, policy.waiting) == (0, 0)
