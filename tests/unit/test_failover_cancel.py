"""Cancellation of a failover, at whatever point it comes: nothing runs on, nothing is held, nothing is counted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.backoff import constant
from holdfast.breaker import BreakerOptions, CircuitBreaker
from holdfast.bulkhead import Bulkhead
from holdfast.errors import Unavailable
from holdfast.failover import Failover, Method, Provider, in_thread
from holdfast.policy import compose
from holdfast.ratelimit import Rate, RateLimiter
from holdfast.retry import Retry
from holdfast.timeout import Timeout

TURNS = 25


class Stage:
    """Three providers that take some turns of the event loop each; the last one succeeds."""

    def __init__(self) -> None:
        self.running = 0
        self.bulkheads = [Bulkhead(1) for _ in range(3)]
        self.breakers = [CircuitBreaker(str(n), BreakerOptions(minimum_calls=1)) for n in range(3)]
        fns = [self.provider(n) for n in range(3)]
        self.failover = Failover("x", [Provider(fn, str(n), self.policy(n)) for n, fn in enumerate(fns)])

    def policy(self, n: int) -> Any:
        limiter = RateLimiter(Rate(1e9, burst=100))
        return compose(limiter, self.bulkheads[n], Retry(2, constant(1e-9)), self.breakers[n], Timeout(30.0))

    def provider(self, n: int) -> Callable[[], Awaitable[int]]:
        async def call() -> int:
            self.running += 1
            try:
                for _ in range(3):
                    await asyncio.sleep(0)
                if n < 2:
                    raise Unavailable(str(n))
                return n
            finally:
                try:
                    await asyncio.sleep(0)
                finally:
                    self.running -= 1

        return call

    def assert_clean(self) -> None:
        assert self.running == 0
        assert [bulkhead.running for bulkhead in self.bulkheads] == [0, 0, 0]
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def cancelled_after(turns: int, work: Awaitable[Any], *, again: bool) -> bool:
    """Whether it could still be cancelled after so many turns of the event loop."""
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    if task.done():
        return False
    task.cancel()
    if again:
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return True


@pytest.mark.parametrize("mode", ["execute", "any", "all"])
@pytest.mark.parametrize("again", [False, True])
async def test_cancelled_at_any_turn_it_leaves_nothing_behind(mode: str, again: bool) -> None:
    reached = 0
    for turns in range(TURNS):
        stage = Stage()
        method: Method[[], int] = stage.failover.method()
        reached += await cancelled_after(turns, getattr(method, mode)(), again=again)
        stage.assert_clean()
        successes = [entry.provider for entry in stage.failover.attempts() if entry.ending == "succeeded"]
        assert successes in ([], ["2"])
    assert reached > 5


async def test_a_cancelled_call_is_neither_success_nor_failure() -> None:
    stage = Stage()
    await cancelled_after(2, stage.failover.method()(), again=False)
    stats = stage.failover.stats()
    assert (stats.requests, stats.providers["0"].calls) == (0, 0)
    assert [entry.ending for entry in stage.failover.attempts()] == ["cancelled"]
    assert stage.breakers[0].snapshot().calls == 0


async def test_losers_of_any_count_for_nothing_with_their_breakers() -> None:
    stage = Stage()

    async def winner() -> int:
        return 7

    stage.failover.register(Provider(winner, "winner"))
    execution = await stage.failover.method().any()
    assert execution.provider == "winner"
    stage.assert_clean()
    assert [breaker.snapshot().calls for breaker in stage.breakers] == [0, 0, 0]


async def test_a_cancelled_call_in_a_thread_waits_for_the_thread() -> None:
    started, gate = threading.Event(), threading.Event()
    effects: list[str] = []

    def block() -> str:
        started.set()
        gate.wait(60)
        effects.append("done")
        return "late"

    task = asyncio.ensure_future(in_thread(block)())
    await asyncio.to_thread(started.wait, 60)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert effects == ["done"]


async def test_an_error_in_a_thread_comes_through() -> None:
    def fail() -> str:
        raise Unavailable("in the thread")

    with pytest.raises(Unavailable, match="in the thread"):
        await in_thread(fail)()
