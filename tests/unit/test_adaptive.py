"""Behaviour of the limit that finds its own number: against a model of a server, and as a bulkhead."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from holdfast.adaptive import AdaptiveLimit, Aimd, Gradient, LimitAlgorithm, Sample
from holdfast.errors import BulkheadFull, Permanent, TimedOut, Unavailable
from holdfast.events import Event
from holdfast.testing.clock import FakeClock

BASE = 0.01


class Server:
    """Works on `capacity` calls at the same time; what is more waits, so that all take longer."""

    def __init__(self, capacity: int, seed: int = 1) -> None:
        self.capacity = capacity
        self._random = random.Random(seed)

    def seconds(self, in_flight: int) -> float:
        return BASE * max(1.0, in_flight / self.capacity) * self._random.uniform(0.9, 1.1)


def after(calls: int, algorithm: LimitAlgorithm, server: Server, limit: float = 20.0) -> float:
    """The limit after so many calls of clients that always have more to ask."""
    for _ in range(calls):
        in_flight = int(limit)
        limit = max(1.0, min(1000.0, algorithm.next(limit, Sample(server.seconds(in_flight), in_flight))))
    return limit


@pytest.mark.parametrize("capacity", [10, 50, 200])
@pytest.mark.parametrize("make", [Gradient, lambda: Aimd(slow=2 * BASE)], ids=["gradient", "aimd"])
def test_it_settles_near_what_the_server_can_bear(capacity: int, make: Any) -> None:
    limit = after(5_000, make(), Server(capacity))
    assert capacity <= limit <= 3 * capacity


@pytest.mark.parametrize(("before", "afterwards"), [(100, 20), (20, 100)])
def test_it_follows_when_the_server_bears_less_or_more(before: int, afterwards: int) -> None:
    algorithm, server = Gradient(), Server(before)
    limit = after(5_000, algorithm, server)
    server.capacity = afterwards
    assert afterwards <= after(5_000, algorithm, server, limit) <= 3 * afterwards


@pytest.mark.parametrize("algorithm", [Gradient(window=1), Aimd()])
def test_a_limit_that_is_not_used_does_not_grow(algorithm: LimitAlgorithm) -> None:
    limit = 20.0
    for _ in range(40):
        limit = algorithm.next(limit, Sample(BASE, in_flight=9))
    assert limit == 20.0


def test_at_times_half_the_limit_is_tried_to_see_how_quick_the_server_is_at_ease() -> None:
    algorithm = Gradient(window=2, probe_every=3)
    limit, limits = 100.0, list[float]()
    for _ in range(10):
        limit = algorithm.next(limit, Sample(BASE, int(limit)))
        limits.append(limit)
    assert limits == [100, 102, 102, 104, 104, 52, 52, 104, 104, 106]


def test_calls_that_began_before_a_probe_do_not_count_in_it() -> None:
    algorithm = Gradient(window=1, probe_every=2)
    assert algorithm.next(100.0, Sample(BASE, 100)) == 102.0
    assert algorithm.next(102.0, Sample(BASE, 102)) == 51.0
    assert algorithm.next(51.0, Sample(99.0, 102)) == 51.0
    assert algorithm.next(51.0, Sample(BASE, 51)) == 102.0


async def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("error", [Unavailable("down"), TimedOut("late"), TimeoutError()])
async def test_lost_calls_lower_the_limit(error: Exception) -> None:
    limit = AdaptiveLimit(initial=100)
    with pytest.raises(type(error)):
        await limit.acall(fail, error)
    assert (limit.limit, limit.running) == (90, 0)


@pytest.mark.parametrize("error", [Permanent("no"), KeyError("a bug"), BulkheadFull("inner")])
async def test_other_errors_say_nothing(error: Exception) -> None:
    limit = AdaptiveLimit(initial=100)
    with pytest.raises(type(error)):
        await limit.acall(fail, error)
    assert (limit.limit, limit.running) == (100, 0)


async def test_cancellation_says_nothing_even_where_every_error_does() -> None:
    limit = AdaptiveLimit(initial=100, overload=lambda error: True)
    task = asyncio.create_task(limit.acall(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (limit.limit, limit.running) == (100, 0)


async def test_calls_that_are_lost_together_lower_it_once() -> None:
    clock, down = FakeClock(), asyncio.Event()
    limit = AdaptiveLimit(initial=100, clock=clock)

    async def lost() -> None:
        await down.wait()
        clock.advance(0.001)
        raise Unavailable("down")

    tasks = [asyncio.create_task(limit.acall(lost)) for _ in range(50)]
    await asyncio.sleep(0)
    down.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert limit.limit == 90
    with pytest.raises(Unavailable):
        await limit.acall(lost)
    assert limit.limit == 81


async def test_it_stays_within_its_bounds() -> None:
    clock = FakeClock()
    limit = AdaptiveLimit(Aimd(shrink=0.1), initial=5, smallest=2, largest=6, clock=clock)
    for _ in range(3):
        clock.advance(1.0)
        with pytest.raises(Unavailable):
            await limit.acall(fail, Unavailable("down"))
    assert limit.limit == 2
    for _ in range(10):
        limit.call(int)
    assert limit.limit == 3  # one call at a time is too little of three to grow further
    with pytest.raises(ZeroDivisionError):
        limit.call(divmod, 1, 0)


async def test_what_is_over_the_limit_waits_or_is_refused() -> None:
    clock, end, heard = FakeClock(), asyncio.Event(), list[Event]()
    limit = AdaptiveLimit(
        name="store", initial=2, queue=1, max_wait=5.0, retry_after=3.0, clock=clock, listener=heard.append
    )
    tasks = [asyncio.create_task(limit.acall(end.wait)) for _ in range(4)]
    await clock.until_waiting()
    assert (limit.running, limit.waiting) == (2, 1)
    with pytest.raises(BulkheadFull, match=r"'store' is full; retry in 3 s"):
        await tasks[3]
    clock.advance(5.0)
    with pytest.raises(BulkheadFull, match="no slot in time"):
        await tasks[2]
    end.set()
    await asyncio.gather(*tasks[:2])
    assert (limit.running, limit.waiting) == (0, 0)
    assert heard == [Event("adaptive_limit.rejected", "store", {"running": 2, "limit": 2})] * 2


async def test_a_higher_limit_lets_waiting_calls_go_on() -> None:
    ends = [asyncio.Event() for _ in range(4)]
    heard = list[Event]()
    limit = AdaptiveLimit(Aimd(), initial=1, queue=9, listener=heard.append)
    tasks = [asyncio.create_task(limit.acall(end.wait)) for end in ends]
    await asyncio.sleep(0)
    assert limit.running == 1
    ends[0].set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert (limit.running, limit.limit) == (2, 2)
    assert heard == [Event("adaptive_limit.changed", "adaptive_limit", {"from": 1, "to": 2})]
    for end in ends:
        end.set()
    await asyncio.gather(*tasks)
    assert limit.running == 0


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (AdaptiveLimit, {"initial": 0}),
        (AdaptiveLimit, {"smallest": 30}),
        (AdaptiveLimit, {"queue": -1}),
        (AdaptiveLimit, {"max_wait": 0.0}),
        (Aimd, {"shrink": 1.0}),
        (Aimd, {"slow": 0.0}),
        (Gradient, {"tolerance": 1.0}),
        (Gradient, {"headroom": 0.0}),
        (Gradient, {"smoothing": 0.0}),
        (Gradient, {"window": 0}),
        (Gradient, {"probe_every": 1}),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(make: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make(**options)


def test_an_algorithm_that_fails_costs_no_call_its_result_and_no_limit_its_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def next(self, limit: float, sample: Sample) -> float:
            raise ZeroDivisionError

    limit = AdaptiveLimit(Broken(), initial=7)
    assert limit.call(abs, -1) == 1
    with pytest.raises(Unavailable):
        limit.call(_away)
    assert (limit.limit, limit.running) == (7, 0)
    assert len(caplog.records) == 2


def _away() -> None:
    raise Unavailable("away")
