"""What a policy costs: a guarded call over a bare one, sync and async, in one run.

    python -m bench.policies

All subjects are measured in turn, round after round, so that what slows the machine slows all of them;
of each the best round counts. Trust the ratios. To compare another library, add a function that returns
its subjects and name it in `SUBJECTS`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from time import perf_counter

from holdfast.breaker import BreakerOptions, CircuitBreaker
from holdfast.bulkhead import Bulkhead
from holdfast.errors import CircuitOpen
from holdfast.policy import compose
from holdfast.ratelimit import Rate, RateLimiter
from holdfast.retry import Retry
from holdfast.timeout import Timeout

Sync = Callable[[], object]
Async = Callable[[], Awaitable[object]]

ROUNDS = 15
CALLS = 4_000


@dataclass
class Subject:
    """Something to measure, sync or async or both; seconds per call, the best so far."""

    name: str
    sync: Sync | None = None
    later: Async | None = None
    refuses: type[Exception] | None = None
    best: dict[str, float] = field(default_factory=lambda: {"sync": float("inf"), "async": float("inf")})


def work() -> int:
    return 1


async def work_later() -> int:
    return 1


def bare() -> Iterator[Subject]:
    yield Subject("bare call", work, work_later)


def standard_library() -> Iterator[Subject]:
    async def asyncio_timeout() -> int:
        async with asyncio.timeout(5.0):
            return await work_later()

    async def wait_for() -> int:
        return await asyncio.wait_for(work_later(), 5.0)

    yield Subject("asyncio.timeout", later=asyncio_timeout)
    yield Subject("asyncio.wait_for", later=wait_for)


def holdfast_policies() -> Iterator[Subject]:
    count = BreakerOptions()
    count_slow = BreakerOptions(slow_call_duration=1.0)
    time_slow = BreakerOptions(window="time", window_size=10.0, slow_call_duration=1.0)
    for name, options in (("count", count), ("count, slow calls", count_slow), ("time, slow calls", time_slow)):
        breaker = CircuitBreaker("bench", options)
        yield Subject(f"breaker ({name})", breaker(work), breaker(work_later))
        called = partial(breaker.call, work), partial(breaker.acall, work_later)
        yield Subject(f"breaker ({name}), called", *called)
    for name, policy in (
        ("retry", Retry()),
        ("bulkhead", Bulkhead(10)),
        ("rate limit", RateLimiter(Rate(1e12, burst=1000))),
        ("retry, breaker, bulkhead", compose(Retry(), CircuitBreaker("bench"), Bulkhead(10))),
    ):
        yield Subject(name, policy(work), policy(work_later))
    yield Subject("timeout", Timeout(5.0)(work), Timeout(5.0)(work_later))
    yield Subject("timeout, abandoning", later=Timeout(5.0, abandon=True)(work_later))


def refusals() -> Iterator[Subject]:
    def refuse() -> None:
        raise KeyError

    async def refuse_later() -> None:
        raise KeyError

    yield Subject("raise and catch", refuse, refuse_later, KeyError)
    breaker = CircuitBreaker("bench", BreakerOptions(open_duration=3600.0))
    for _ in range(10):
        breaker.acquire().failure()
    yield Subject("breaker (open)", breaker(work), breaker(work_later), CircuitOpen)
    called = partial(breaker.call, work), partial(breaker.acall, work_later)
    yield Subject("breaker (open), called", *called, CircuitOpen)


SUBJECTS = (bare, standard_library, holdfast_policies, refusals)


def timed(call: Sync, refuses: type[Exception] | None) -> float:
    """Seconds per call."""
    calls = repeat(None, CALLS)
    began = perf_counter()
    if refuses is None:
        for _ in calls:
            call()
    else:
        for _ in calls:
            try:  # noqa: SIM105 - suppress() costs as much as what is measured
                call()
            except refuses:
                pass
    return (perf_counter() - began) / CALLS


async def timed_later(call: Async, refuses: type[Exception] | None) -> float:
    """Seconds per call."""
    calls = repeat(None, CALLS)
    began = perf_counter()
    if refuses is None:
        for _ in calls:
            await call()
    else:
        for _ in calls:
            try:  # noqa: SIM105 - suppress() costs as much as what is measured
                await call()
            except refuses:
                pass
    return (perf_counter() - began) / CALLS


async def measure(subjects: list[Subject]) -> None:
    for _ in range(ROUNDS):
        for subject in subjects:
            if subject.sync is not None:
                subject.best["sync"] = min(subject.best["sync"], timed(subject.sync, subject.refuses))
            if subject.later is not None:
                subject.best["async"] = min(subject.best["async"], await timed_later(subject.later, subject.refuses))


def cells(subject: Subject, reference: Subject) -> str:
    text = f"| {subject.name} "
    for kind in ("sync", "async"):
        taken, base = subject.best[kind], reference.best[kind]
        text += f"| {taken * 1e9:,.0f} | {taken / base:.1f} " if taken < float("inf") else "| – | – "
    return text + "|"


def main() -> None:
    subjects = [subject for make in SUBJECTS for subject in make()]
    asyncio.run(measure(subjects))
    print(f"Python {sys.version.split()[0]}, best of {ROUNDS} rounds of {CALLS:,} calls\n")
    print("| call | sync, ns | × bare | async, ns | × bare |\n| --- | --: | --: | --: | --: |")
    for subject in subjects:
        print(cells(subject, subjects[0]))


if __name__ == "__main__":
    main()
