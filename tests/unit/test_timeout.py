"""Behaviour of deadlines, on a clock that the test moves: blocks, and the policy."""

from __future__ import annotations

import asyncio
import math

import pytest

from holdfast.errors import Abandoned, OutcomeUnknown, TimedOut
from holdfast.events import Event
from holdfast.policy import compose
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout, deadline, remaining, timeout
from tests.support.late import ended


async def test_a_block_in_time_is_left_alone() -> None:
    clock = FakeClock()
    async with timeout(5.0, clock=clock):
        assert remaining(clock) == 5.0
    assert remaining(clock) == math.inf
    assert clock.waiting == 0
    clock.advance(60)
    await asyncio.sleep(0)


async def test_a_late_block_is_cancelled_and_has_ended_when_the_error_is_raised() -> None:
    clock, cleaned = FakeClock(), list[str]()

    async def late() -> None:
        async with timeout(5.0, clock=clock):
            try:
                await asyncio.Event().wait()
            finally:
                await clock.sleep(60)
                cleaned.append("up")

    task = asyncio.create_task(late())
    await clock.until_waiting()
    clock.advance(5.0)
    await clock.until_waiting()
    assert not task.done()
    clock.advance(60)
    with pytest.raises(TimedOut, match="not done in 5 s"):
        await task
    assert cleaned == ["up"]


async def test_the_error_is_a_timeout_error_and_an_unknown_outcome_and_keeps_the_cause() -> None:
    clock = FakeClock()

    async def late() -> None:
        async with timeout(5.0, clock=clock):
            await asyncio.Event().wait()

    task = asyncio.create_task(late())
    await clock.until_waiting()
    clock.advance(5.0)
    with pytest.raises(TimeoutError) as caught:
        await task
    assert isinstance(caught.value, OutcomeUnknown)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_no_nested_deadline_outlives_the_outer_one() -> None:
    clock = FakeClock()

    async def nested() -> None:
        async with timeout(5.0, clock=clock), timeout(60.0, clock=clock), timeout(3_600.0, clock=clock):
            assert remaining(clock) == 5.0
            await asyncio.Event().wait()

    assert await ended(nested(), clock, 5.0) == 5.0


async def test_a_nested_deadline_may_be_sooner_and_the_outer_block_goes_on() -> None:
    clock, after = FakeClock(), list[float]()

    async def nested() -> None:
        async with timeout(60.0, clock=clock):
            with pytest.raises(TimedOut):
                async with timeout(5.0, clock=clock):
                    await asyncio.Event().wait()
            after.append(remaining(clock))

    task = asyncio.create_task(nested())
    await clock.until_waiting(2)
    clock.advance(5.0)
    await task
    assert after == [55.0]


async def test_a_task_started_inside_is_bound_by_the_deadline_too() -> None:
    clock = FakeClock()

    async def child() -> None:
        async with timeout(60.0, clock=clock):
            await asyncio.Event().wait()

    async with timeout(5.0, clock=clock):
        task = asyncio.create_task(child())
        await clock.until_waiting(2)
    assert await ended(task, clock, 5.0) == 5.0


async def test_a_cancellation_from_outside_stays_one() -> None:
    clock = FakeClock()

    async def late() -> None:
        async with timeout(5.0, clock=clock):
            await asyncio.Event().wait()

    task = asyncio.create_task(late())
    await clock.until_waiting()
    task.cancel()
    clock.advance(5.0)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with timeout(5.0, clock=FakeClock()):
            raise KeyError("mine")


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_a_block_without_any_time_is_not_begun(seconds: float) -> None:
    with pytest.raises(TimedOut, match="no time left"):
        async with timeout(seconds, clock=FakeClock()):
            pytest.fail("begun")


@pytest.mark.parametrize("abandon", [False, True])
async def test_the_policy_gives_each_call_its_own_time(abandon: bool) -> None:
    clock = FakeClock()

    @Timeout(5.0, abandon=abandon, clock=clock)
    async def work(seconds: float) -> str:
        await clock.sleep(seconds)
        return "done"

    for seconds in (4.0, 6.0):
        task = asyncio.create_task(work(seconds))
        await clock.until_waiting(2)
        clock.advance(seconds)
        if seconds < 5.0:
            assert await task == "done"
        else:
            with pytest.raises(Abandoned if abandon else TimedOut):
                await task


def test_a_sync_call_can_see_its_deadline_and_is_refused_when_it_has_passed() -> None:
    clock = FakeClock()
    policy = Timeout(5.0, clock=clock)
    assert policy.call(remaining, clock) == 5.0

    def slow() -> None:
        clock.advance(6.0)
        policy.call(pytest.fail, "begun")

    with pytest.raises(TimedOut, match="no time left"):
        policy.call(slow)
    assert remaining(clock) == math.inf


def test_a_policy_without_time_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Timeout(0.0)


def test_a_block_of_sync_code_passes_its_deadline_on_and_none_within_outlives_it() -> None:
    clock = FakeClock()
    with deadline(5.0, clock=clock):
        with deadline(60.0, clock=clock):
            assert remaining(clock) == 5.0
            assert Timeout(3_600.0, clock=clock).call(remaining, clock) == 5.0
        with deadline(1.0, clock=clock):
            assert remaining(clock) == 1.0
        clock.advance(4.0)
        assert remaining(clock) == 1.0
        clock.advance(60.0)
        assert remaining(clock) == 0.0
        with pytest.raises(TimedOut, match="no time left"), deadline(1.0, clock=clock):
            pytest.fail("begun")
    assert remaining(clock) == math.inf


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
def test_a_block_of_sync_code_without_any_time_is_not_begun(seconds: float) -> None:
    with pytest.raises(TimedOut, match="no time left"), deadline(seconds, clock=FakeClock()):
        pytest.fail("begun")


async def test_an_async_call_ends_by_a_deadline_that_sync_code_has_set() -> None:
    clock = FakeClock()

    async def late() -> None:
        with deadline(5.0, clock=clock):
            await Timeout(60.0, clock=clock).acall(asyncio.Event().wait)

    assert await ended(late(), clock, 5.0) == 5.0


@pytest.mark.parametrize("abandon", [False, True])
async def test_listeners_hear_of_the_timeout_that_ran_out_and_of_no_other(abandon: bool) -> None:
    clock, heard = FakeClock(), list[Event]()
    inner = Timeout(1.0, name="inner", abandon=abandon, clock=clock, listener=heard.append)
    outer = Timeout(5.0, name="outer", clock=clock, listener=heard.append)
    await ended(compose(outer, inner).acall(asyncio.Event().wait), clock, 1.0)
    assert [event.source for event in heard] == ["inner"]
    assert heard[0] == Event("timeout.expired", "inner", {"seconds": 1.0})
