"""The other libraries, each guarding the same calls: every function imports one and tells what it offers.

A guard takes a function and returns it guarded. All are set as ours is by default, as far as they can be.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

Guard = Callable[[Callable[..., Any]], Callable[..., Any]]

LONG = 3600.0
MANY = 10**9


@dataclass(frozen=True)
class Rival:
    """A pattern as one library has it: made anew for sync and for async calls, each if it can."""

    pattern: str
    name: str
    sync: Callable[[], Guard] | None = None
    later: Callable[[], Guard] | None = None


def both(pattern: str, name: str, make: Callable[[], Guard]) -> Rival:
    return Rival(pattern, name, make, make)


def holdfast() -> Iterator[Rival]:
    from holdfast.adaptive import AdaptiveLimit
    from holdfast.breaker import BreakerOptions, CircuitBreaker
    from holdfast.budget import RetryBudget
    from holdfast.bulkhead import Bulkhead
    from holdfast.chaos import Chaos
    from holdfast.fallback import Fallback
    from holdfast.hedge import Hedge
    from holdfast.policy import compose
    from holdfast.ratelimit import Rate, RateLimiter
    from holdfast.retry import Retry
    from holdfast.stale import StaleOnError
    from holdfast.timeout import Timeout

    def breaker(**options: Any) -> Callable[[], Guard]:
        return lambda: CircuitBreaker("bench", BreakerOptions(open_duration=LONG, **options))

    for pattern in ("breaker", "breaker, open"):
        yield both(pattern, "holdfast", breaker())
        yield both(pattern, "holdfast, slow calls", breaker(slow_call_duration=60.0))
        yield both(pattern, "holdfast, time window, slow calls", breaker(window="time", slow_call_duration=60.0))
    yield both("retry", "holdfast", lambda: Retry(retry_on=Exception))
    yield both("retry", "holdfast, with a budget", lambda: Retry(retry_on=Exception, budget=RetryBudget()))
    yield Rival("timeout", "holdfast", later=lambda: Timeout(60.0))
    yield Rival("timeout", "holdfast, abandoning", later=lambda: Timeout(60.0, abandon=True))
    yield both("bulkhead", "holdfast", lambda: Bulkhead(10, queue=10))
    yield both("bulkhead", "holdfast, adaptive", AdaptiveLimit)
    yield both("rate limit", "holdfast", lambda: RateLimiter(Rate(MANY, burst=1000)))
    yield both("fallback", "holdfast", lambda: Fallback(lambda _: 0, on=Exception))
    yield Rival("hedge", "holdfast", later=lambda: Hedge(60.0))
    yield both("others of ours", "stale on error", lambda: StaleOnError(60.0))
    yield both("others of ours", "chaos, not enabled", Chaos)
    yield both(
        "others of ours", "retry, breaker, bulkhead", lambda: compose(Retry(), CircuitBreaker("bench"), Bulkhead(10))
    )


def standard_library() -> Iterator[Rival]:
    import asyncio

    def within(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            async with asyncio.timeout(60.0):
                return await fn(*args, **kwargs)

        return guarded

    def wait_for(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            return await asyncio.wait_for(fn(*args, **kwargs), 60.0)

        return guarded

    def semaphore() -> Guard:
        free = asyncio.Semaphore(10)

        def guard(fn: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(fn)
            async def guarded(*args: Any, **kwargs: Any) -> Any:
                async with free:
                    return await fn(*args, **kwargs)

            return guarded

        return guard

    yield Rival("timeout", "asyncio.timeout", later=lambda: within)
    yield Rival("timeout", "asyncio.wait_for", later=lambda: wait_for)
    yield Rival("bulkhead", "asyncio.Semaphore", later=semaphore)


def tenacity() -> Iterator[Rival]:
    import tenacity

    def make() -> Guard:
        return tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_random_exponential(0.1, 30))

    yield both("retry", "tenacity", make)


def stamina() -> Iterator[Rival]:
    import stamina

    yield both("retry", "stamina", lambda: stamina.retry(on=Exception, attempts=3))


def pybreaker() -> Iterator[Rival]:
    import pybreaker

    for pattern in ("breaker", "breaker, open"):
        yield Rival(pattern, "pybreaker", lambda: pybreaker.CircuitBreaker(fail_max=5, reset_timeout=LONG))


def aiobreaker() -> Iterator[Rival]:
    import aiobreaker

    for pattern in ("breaker", "breaker, open"):
        yield both(pattern, "aiobreaker", lambda: aiobreaker.CircuitBreaker(5, timedelta(seconds=LONG)))


def circuitbreaker() -> Iterator[Rival]:
    import circuitbreaker

    for pattern in ("breaker", "breaker, open"):
        yield both(pattern, "circuitbreaker", lambda: circuitbreaker.CircuitBreaker(5, int(LONG)))


def purgatory() -> Iterator[Rival]:
    import purgatory

    for pattern in ("breaker", "breaker, open"):
        yield Rival(
            pattern,
            "purgatory",
            lambda: purgatory.SyncCircuitBreakerFactory(5, LONG)("bench"),
            lambda: purgatory.AsyncCircuitBreakerFactory(5, LONG)("bench"),
        )


def interlock() -> Iterator[Rival]:
    import interlock

    def make(kind: interlock.WindowType) -> Callable[[], Guard]:
        config = interlock.Config(window_type=kind, wait_duration_in_open=LONG)
        return lambda: interlock.CircuitBreaker(name="bench", config=config)

    for pattern in ("breaker", "breaker, open"):
        yield both(pattern, "interlock-cb, slow calls", make(interlock.WindowType.COUNT_BASED))
        yield both(pattern, "interlock-cb, time window, slow calls", make(interlock.WindowType.TIME_BASED))


def hyx() -> Iterator[Rival]:
    from hyx.bulkhead import bulkhead
    from hyx.circuitbreaker import consecutive_breaker
    from hyx.fallback import fallback
    from hyx.ratelimit import tokenbucket
    from hyx.retry import retry
    from hyx.timeout import timeout

    async def instead(*_: Any, **__: Any) -> int:
        return 0

    for pattern in ("breaker", "breaker, open"):
        yield Rival(pattern, "hyx", later=lambda: consecutive_breaker(Exception, 5, LONG))
    yield Rival("retry", "hyx", later=lambda: retry(on=Exception, attempts=3))
    yield Rival("timeout", "hyx", later=lambda: timeout(60.0))
    yield Rival("bulkhead", "hyx", later=lambda: bulkhead(10, 20))
    yield Rival("rate limit", "hyx", later=lambda: tokenbucket(MANY, 1.0, 1000))
    yield Rival("fallback", "hyx", later=lambda: fallback(instead, on=Exception))


def nopanic() -> Iterator[Rival]:
    import nopanic

    def breaker(slow: float | None = None) -> Callable[[], Guard]:
        return lambda: nopanic.circuit_breaker(reset_timeout=LONG, slow_call_duration=slow)

    for pattern in ("breaker", "breaker, open"):
        yield both(pattern, "nopanic, time window", breaker())
        yield both(pattern, "nopanic, time window, slow calls", breaker(60.0))
    yield both("retry", "nopanic", lambda: nopanic.retry(3))
    yield both("retry", "nopanic, with a budget", lambda: nopanic.retry(3, budget=nopanic.RetryBudget()))
    yield Rival("timeout", "nopanic", later=lambda: nopanic.timeout(60.0))
    yield both("bulkhead", "nopanic", lambda: nopanic.bulkhead(10))
    yield both("rate limit", "nopanic", lambda: nopanic.rate_limit(MANY, burst=1000))
    yield both("fallback", "nopanic", lambda: nopanic.fallback(lambda _: 0))
    yield Rival("hedge", "nopanic", later=lambda: nopanic.hedge(delay=60.0))


def pyresilience() -> Iterator[Rival]:
    import pyresilience as py

    def make(**options: Any) -> Callable[[], Guard]:
        return lambda: py.resilient(**options)

    for pattern in ("breaker", "breaker, open"):
        yield both(pattern, "pyresilience", make(circuit_breaker=py.CircuitBreakerConfig(recovery_timeout=LONG)))
    yield both("retry", "pyresilience", make(retry=py.RetryConfig()))
    yield Rival("timeout", "pyresilience", later=make(timeout=py.TimeoutConfig(60.0)))
    yield both("bulkhead", "pyresilience", make(bulkhead=py.BulkheadConfig()))
    yield both("rate limit", "pyresilience", make(rate_limiter=py.RateLimiterConfig(MANY, 1.0)))
    yield both("fallback", "pyresilience", make(fallback=py.FallbackConfig(lambda _: 0)))


def aioresilience() -> Iterator[Rival]:
    import aioresilience as aio
    from aioresilience.config import BulkheadConfig, CircuitConfig

    def breaker() -> Guard:
        return aio.with_circuit_breaker(aio.CircuitBreaker("bench", CircuitConfig(recovery_timeout=LONG)))

    for pattern in ("breaker", "breaker, open"):
        yield Rival(pattern, "aioresilience", later=breaker)
    yield Rival("retry", "aioresilience", later=lambda: aio.with_retry(aio.RetryPolicy()))
    yield Rival(
        "bulkhead", "aioresilience", later=lambda: aio.with_bulkhead(aio.Bulkhead("bench", BulkheadConfig(10, 10)))
    )


LIBRARIES = (
    holdfast,
    standard_library,
    tenacity,
    stamina,
    pybreaker,
    aiobreaker,
    circuitbreaker,
    purgatory,
    interlock,
    hyx,
    nopanic,
    pyresilience,
    aioresilience,
)
