"""Calls through a pool of endpoints: from one to the next until one succeeds, and nothing left behind."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from holdfast.backoff import constant
from holdfast.breaker import BreakerOptions
from holdfast.errors import OutcomeUnknown, Permanent, TimedOut, Unavailable
from holdfast.failover import (
    AllEndpointsFailed,
    Endpoint,
    EndpointPool,
    ErrorKind,
    NoCandidate,
    OutlierOptions,
    PoolOptions,
    nothing_happened,
)
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout
from tests.support.pools import NEVER, World, endpoint, two


def test_an_answer_says_where_it_is_from_and_what_it_took() -> None:
    world = two()
    world.errors["a"] = ConnectionResetError("gone")
    execution = world.pool.execute_with_failover(world.call)
    assert (execution.endpoint.id, execution.result, execution.attempts) == ("b", "b", 2)
    assert execution.duration == pytest.approx(0.02)
    (failure,) = execution.failures
    assert (failure.endpoint.id, failure.error) == ("a", world.errors["a"])
    assert failure.duration == pytest.approx(0.01)


def test_when_the_attempts_are_used_up_every_error_is_carried() -> None:
    world = World(*[endpoint(name) for name in "abcd"], attempts=3)
    world.errors = {name: Unavailable(name) for name in "abcd"}
    with pytest.raises(AllEndpointsFailed) as caught:
        world.pool.execute_with_failover(world.call)
    assert [str(error) for error in caught.value.exceptions] == ["a", "b", "c"]
    assert [(each.endpoint.id, str(each.error)) for each in caught.value.failures] == [(name, name) for name in "abc"]
    assert caught.value.failures[0].duration == pytest.approx(0.01)
    assert not caught.value.unsure


def test_all_are_tried_before_any_is_tried_again() -> None:
    world = World(endpoint("a"), endpoint("b"), endpoint("c"), attempts=6)
    world.errors = {name: Unavailable(name) for name in "abc"}
    with pytest.raises(AllEndpointsFailed) as caught:
        world.pool.execute_with_failover(world.call)
    tried = [str(error) for error in caught.value.exceptions]
    assert set(tried[:3]) == set(tried[3:]) == {"a", "b", "c"}


def test_a_definite_answer_is_raised_as_it_is_and_held_against_nobody() -> None:
    world = two(outliers=OutlierOptions(consecutive_failures=1))
    world.errors = {"a": Permanent("no"), "b": Permanent("no")}
    for _ in range(5):
        with pytest.raises(Permanent, match="no"):
            world.pool.execute_with_failover(world.call)
    assert world.pool.stats().usable == 2


def test_what_must_not_happen_twice_stops_at_an_unsure_answer() -> None:
    clock = FakeClock()
    pool = EndpointPool("x", [endpoint("a"), endpoint("b")], clock=clock, fail_over_on=nothing_happened)
    asked: list[str] = []

    def unsure(endpoint: Endpoint) -> None:
        asked.append(endpoint.id)
        raise OutcomeUnknown("lost")

    with pytest.raises(OutcomeUnknown):
        pool.execute_with_failover(unsure)
    assert asked == ["a"]


async def test_attempts_wait_their_backoff_and_give_up_early_at_a_deadline() -> None:
    world = two(attempts=4, backoff=constant(1.0))
    world.errors = {"a": Unavailable("a"), "b": Unavailable("b")}
    began = world.clock.monotonic()
    with pytest.raises(AllEndpointsFailed) as caught:
        world.pool.execute_with_failover(world.call)
    assert world.clock.monotonic() - began == pytest.approx(3.04)
    assert len(caught.value.exceptions) == 4
    with pytest.raises(AllEndpointsFailed) as caught:
        Timeout(1.5, clock=world.clock).call(world.pool.execute_with_failover, world.call)
    assert len(caught.value.exceptions) == 2


async def test_async_attempts_wait_their_backoff_too() -> None:
    world, asked = two(attempts=3, backoff=constant(1.0)), list[float]()

    async def call(endpoint: Endpoint) -> str:
        asked.append(world.clock.monotonic() - began)
        raise Unavailable(endpoint.id)

    began = world.clock.monotonic()
    running = asyncio.create_task(world.pool.aexecute_with_failover(call))
    for _ in range(2):
        await world.clock.until_waiting()
        world.clock.advance(1.0)
    with pytest.raises(AllEndpointsFailed):
        await running
    assert asked == [0.0, 1.0, 2.0]


async def test_a_late_attempt_is_ended_and_the_next_endpoint_is_asked() -> None:
    world = two(timeout=2.0)

    async def call(endpoint: Endpoint) -> str:
        if endpoint.id == "a":
            await asyncio.Event().wait()
        return endpoint.id

    waiting = asyncio.ensure_future(world.pool.aexecute_with_failover(call))
    await world.clock.until_waiting()
    world.clock.advance(2.0)
    execution = await waiting
    assert execution.result == "b"
    assert isinstance(execution.failures[0].error, TimedOut)
    last = world.pool.stats().endpoints["a"].last_error
    assert last is not None
    assert last.kind is ErrorKind.TIMEOUT


def test_with_nobody_to_ask_it_says_so() -> None:
    with pytest.raises(NoCandidate):
        World().pool.execute_with_failover(lambda endpoint: endpoint)


@pytest.mark.parametrize("turns", range(12))
@pytest.mark.parametrize("breaker", [None, BreakerOptions(minimum_calls=1)])
async def test_a_cancelled_call_leaves_nothing_behind_and_counts_as_nothing(
    turns: int, breaker: BreakerOptions | None
) -> None:
    running = 0

    async def call(endpoint: Endpoint) -> str:
        nonlocal running
        running += 1
        try:
            for _ in range(4):
                await asyncio.sleep(0)
            if endpoint.id != "c":
                raise Unavailable(endpoint.id)
            return endpoint.id
        finally:
            running -= 1

    pool = EndpointPool("x", [endpoint(name) for name in "abc"], options=PoolOptions(breaker=breaker, timeout=30.0))
    task = asyncio.ensure_future(pool.aexecute_with_failover(call))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stats = pool.stats()
    assert (running, stats.in_flight) == (0, 0)
    assert stats.calls == stats.failed == (turns - 1) // 4 if turns else stats.calls == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_one_that_is_cancelled_from_within_has_failed_and_the_next_is_asked() -> None:
    async def call(endpoint: Endpoint) -> str:
        if endpoint.id == "a":
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        return endpoint.id

    assert (await two().pool.aexecute_with_failover(call)).result == "b"


def test_an_interrupted_call_gives_its_place_back() -> None:
    world = two()

    def interrupted(_endpoint: Endpoint) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.pool.execute_with_failover(interrupted)
    assert (world.pool.stats().in_flight, world.pool.stats().calls) == (0, 0)


def test_bookkeeping_that_fails_after_a_success_causes_no_second_call(caplog: pytest.LogCaptureFixture) -> None:
    world = two()
    asked: list[str] = []

    def call(endpoint: Endpoint) -> str:
        asked.append(endpoint.id)
        world.pool.clock.monotonic = lambda: float("nan")  # type: ignore[method-assign]
        return endpoint.id

    assert world.pool.execute_with_failover(call).result == "a"
    assert asked == ["a"]
    assert "the bookkeeping" in caplog.text


def test_a_classifier_that_fails_means_failure_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_error: Exception) -> Any:
        raise ZeroDivisionError

    pool = EndpointPool("x", [endpoint("a"), endpoint("b")], classify=broken, clock=FakeClock())

    def call(endpoint: Endpoint) -> str:
        if endpoint.id == "a":
            raise Unavailable("a")
        return endpoint.id

    assert pool.execute_with_failover(call).result == "b"
    assert "ZeroDivisionError" in caplog.text


def test_a_lease_is_counted_while_it_lasts_and_judged_once() -> None:
    world = two()
    lease = world.pool.lease()
    assert world.pool.stats().endpoints[lease.endpoint.id].in_flight == 1
    lease.failure(Unavailable("a"))
    lease.success()
    stats = world.pool.stats().endpoints[lease.endpoint.id]
    assert (stats.in_flight, stats.calls, stats.failed) == (0, 1, 1)
    with pytest.raises(Unavailable), world.pool.lease() as lease:
        raise Unavailable("b")
    assert world.pool.stats().failed == 2
    world.pool.lease().release()
    assert world.pool.stats().calls == 2


def test_many_threads_leave_the_counts_exact() -> None:
    pool = EndpointPool("x", [endpoint(name) for name in "abc"], options=PoolOptions(outliers=NEVER))
    most = threading.Barrier(8)

    def work() -> None:
        most.wait(60)
        for _ in range(200):
            pool.execute_with_failover(lambda endpoint: endpoint.id)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stats = pool.stats()
    assert (stats.calls, stats.in_flight) == (1600, 0)
    assert {each.calls for each in stats.endpoints.values()} <= {533, 534}
