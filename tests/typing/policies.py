"""What a type checker sees: guarded functions keep their signatures, and wrong uses are found.

Checked by mypy in `make lint`, never run. A line that must be wrong carries an ignore, and an ignore that is not
needed is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, assert_type

from holdfast import (
    AdaptiveLimit,
    Bulkhead,
    CallOutcome,
    Chaos,
    CircuitBreaker,
    ConcurrencyManager,
    Fallback,
    Hedge,
    Partitioned,
    Policy,
    Rate,
    RateLimiter,
    Retry,
    RetryResult,
    StaleOnError,
    StaleResult,
    Timeout,
    abandon_after,
    abandon_thread_after,
    compose,
    semaphore,
)

every_policy: list[Policy] = [
    AdaptiveLimit(),
    Bulkhead(1),
    Chaos(),
    CircuitBreaker("store"),
    Fallback(lambda error: None),
    Hedge(1.0),
    Partitioned(lambda host: CircuitBreaker(host), key=lambda host: host),
    RateLimiter(Rate(1)),
    Retry(),
    StaleOnError(60.0),
    Timeout(1.0),
    compose(Retry(), Bulkhead(1)),
    semaphore(1),
]


@Retry(3, retry_on=(ConnectionError, TimeoutError))
def read(key: str, *, limit: int = 10) -> list[int]:
    return [len(key), limit]


hosts = Partitioned(lambda host: CircuitBreaker(f"to {host}"), key=lambda key, **_: key)


@hosts
async def read_from(key: str, *, limit: int = 10) -> list[int]:
    return [len(key), limit]


@CircuitBreaker("store")
async def read_later(key: str, *, limit: int = 10) -> list[int]:
    return [len(key), limit]


@compose(Timeout(10.0), Retry(), Bulkhead(1))
async def composed(key: str) -> bytes:
    return key.encode()


class Service:
    @Fallback(lambda error: None)
    @Chaos()
    def answer(self, of: int) -> str:
        return str(of)

    @Hedge(0.1)
    @StaleOnError(60.0)
    async def later(self, of: int) -> str:
        return str(of)


async def use(service: Service, policy: Policy) -> None:
    assert_type(read("a", limit=1), list[int])
    assert_type(await read_later("a", limit=1), list[int])
    assert_type(await composed("a"), bytes)
    assert_type(await read_from("a", limit=1), list[int])
    assert_type(hosts["a"], CircuitBreaker)
    assert_type(service.answer(1), str)
    assert_type(await service.later(1), str)

    assert_type(policy.call(divmod, 7, 2), tuple[int, int])
    assert_type(await policy.acall(composed, "a"), bytes)
    call: Callable[[str], Coroutine[Any, Any, bytes]] = policy(composed)
    assert_type(await call("a"), bytes)

    assert_type(Retry().run(read, "a"), RetryResult[list[int]])
    assert_type((await Retry().arun(composed, "a")).value, bytes)
    assert_type(await StaleOnError(1.0).arun(composed, "a"), StaleResult[bytes])
    assert_type(await ConcurrencyManager().map(composed, ["a"]), list[CallOutcome[bytes]])
    assert_type(ConcurrencyManager().run_blocking([lambda: 1]), list[CallOutcome[int]])
    assert_type((await ConcurrencyManager().run([lambda: composed("a")]))[0].result(), bytes)
    assert_type(await abandon_after(1.0, composed("a")), bytes)
    assert_type(abandon_thread_after(1.0, lambda: 1), int)

    for attempt in Retry():
        with attempt:
            assert_type(attempt.number, int)
    async for attempt in Retry():
        with attempt:
            assert_type(attempt.number, int)
    async with Bulkhead(1) as bulkhead:
        assert_type(bulkhead.running, int)


async def misuse(policy: Policy) -> None:
    read(1)  # type: ignore[arg-type]
    read("a", 1)  # type: ignore[call-arg]
    await read_later("a", unknown=1)  # type: ignore[call-arg]
    policy.call(divmod, "seven", 2)  # type: ignore[arg-type]
    await policy.acall(read, "a")  # type: ignore[arg-type]
    await policy.acall(composed, 1)  # type: ignore[arg-type]
    Retry(retry_on=KeyboardInterrupt)  # type: ignore[arg-type]
    await ConcurrencyManager().map(composed, [1])  # type: ignore[arg-type]
    compose(Retry(), Rate(1))  # type: ignore[arg-type]
