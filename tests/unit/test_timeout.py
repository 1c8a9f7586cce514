"""Behaviour of deadlines, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from holdfast.bulkhead import Bulkhead
from holdfast.errors import Abandoned, OutcomeUnknown, TimedOut
from holdfast.events import Event
from holdfast.policy import compose
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout, abandon_after, abandon_thread_after, deadline, remaining, timeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


async def ended(task: asyncio.Task[None] | Awaitable[None], clock: FakeClock, seconds: float) -> float:
    """Let time pass until the task ends by its timeout; return how much did."""
    began = clock.monotonic()
    task = asyncio.ensure_future(task)
    await clock.until_waiting()
    clock.advance(seconds)
    with pytest.raises(TimedOut):
        await task
    return clock.monotonic() - began


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


async def test_abandoning_in_time_gives_the_result_or_the_error() -> None:
    clock = FakeClock()

    async def left() -> float:
        await asyncio.sleep(0)
        return remaining(clock)

    async def fail() -> None:
        raise KeyError("mine")

    assert await abandon_after(5.0, left(), clock=clock) == 5.0
    with pytest.raises(KeyError, match="mine"):
        await abandon_after(5.0, fail(), clock=clock)
    assert clock.waiting == 0


class Frozen:
    """A call that takes its cancellation, and then cleans up for as long as it likes."""

    def __init__(self) -> None:
        self.cancelled = False
        self.thaws: weakref.ref[asyncio.Future[None]] | None = None

    async def __call__(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            # Held by nobody but this call, which is held by nobody but the library.
            thaws = asyncio.get_running_loop().create_future()
            self.thaws = weakref.ref(thaws)
            self.cancelled = True
            await thaws
            raise ConnectionResetError("too late")

    def thaw(self) -> None:
        thaws = self.thaws and self.thaws()
        if thaws and not thaws.done():
            thaws.set_result(None)


@pytest.fixture
async def frozen() -> AsyncIterator[Frozen]:
    call = Frozen()
    yield call
    call.thaw()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("how", ["time runs out", "the caller is cancelled"])
async def test_nobody_waits_for_an_abandoned_call_that_is_slow_to_clean_up(how: str, frozen: Frozen) -> None:
    clock = FakeClock()
    caller = asyncio.create_task(abandon_after(1.0, frozen(), clock=clock))
    await clock.until_waiting()
    await asyncio.sleep(0)
    if how == "time runs out":
        clock.advance(1.0)
    else:
        caller.cancel()
    with pytest.raises(Abandoned if how == "time runs out" else asyncio.CancelledError):
        await caller
    await until(lambda: frozen.cancelled)


async def test_an_abandoned_call_is_followed_to_its_end(frozen: Frozen, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "holdfast")
    clock = FakeClock()

    async def call() -> None:
        with contextlib.suppress(Abandoned):
            await abandon_after(1.0, frozen(), clock=clock)

    caller = asyncio.create_task(call())
    await clock.until_waiting()
    await asyncio.sleep(0)
    clock.advance(1.0)
    await caller
    await until(lambda: frozen.cancelled)
    gc.collect()
    frozen.thaw()
    await until(lambda: "too late" in caplog.text)
    gc.collect()
    assert warnings(caplog) == []


async def test_a_call_cancelled_with_everything_else_before_its_first_step_is_let_go_of_quietly() -> None:
    begun = list[str]()

    async def work() -> None:
        begun.append("work")

    caller = asyncio.create_task(abandon_after(1.0, work(), clock=FakeClock()))
    await asyncio.sleep(0)
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert begun == []
    gc.collect()  # a coroutine that was never awaited would warn here


async def test_an_error_that_comes_as_the_caller_is_cancelled_is_not_reported_as_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = asyncio.Event()

    async def fail() -> None:
        await answer.wait()
        raise KeyError("mine")

    caller = asyncio.create_task(abandon_after(1.0, fail(), clock=FakeClock()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answer.set()
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller
    await asyncio.sleep(0)
    gc.collect()  # a task whose error nobody looked at would say so here
    assert warnings(caplog) == []


async def test_a_result_that_comes_at_the_very_deadline_is_not_thrown_away() -> None:
    clock, answer = FakeClock(), asyncio.Event()

    async def just_in_time() -> str:
        await answer.wait()
        return "answer"

    caller = asyncio.create_task(abandon_after(1.0, just_in_time(), clock=clock))
    await clock.until_waiting()
    await asyncio.sleep(0)
    answer.set()
    clock.advance(1.0)
    assert await caller == "answer"


async def test_an_abandoned_call_is_bound_by_the_enclosing_deadline() -> None:
    clock = FakeClock()

    async def outer() -> None:
        async with timeout(5.0, clock=clock):
            await abandon_after(60.0, asyncio.Event().wait(), clock=clock)

    assert await ended(outer(), clock, 5.0) == 5.0


async def test_a_deadline_inside_an_abandoned_call_ends_with_it() -> None:
    clock, ends = FakeClock(), asyncio.Event()

    async def inner() -> None:
        try:
            async with timeout(60.0, clock=clock):
                await asyncio.Event().wait()
        finally:
            ends.set()

    task = asyncio.create_task(abandon_after(5.0, inner(), clock=clock))
    await until(lambda: clock.waiting > 0)
    await asyncio.sleep(0)
    assert clock.waiting == 1  # the later deadline costs no timer
    assert await ended(task, clock, 5.0) == 5.0
    await until(ends.is_set)


async def test_what_has_no_time_left_is_not_begun_and_not_warned_about() -> None:
    clock = FakeClock()

    async def never() -> None:
        pytest.fail("begun")

    future = asyncio.get_running_loop().create_future()
    for awaitable in (never(), future):
        with pytest.raises(TimedOut, match="no time left"):
            await abandon_after(0.0, awaitable, clock=clock)
    assert future.cancelled()
    gc.collect()


async def test_a_future_can_be_abandoned_too() -> None:
    clock = FakeClock()
    future = asyncio.get_running_loop().create_future()
    caller = asyncio.create_task(abandon_after(1.0, future, clock=clock))
    await clock.until_waiting()
    future.set_result("value")
    assert await caller == "value"


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


def test_a_blocking_call_in_time_gives_its_result_or_its_error_and_sees_its_deadline() -> None:
    clock = FakeClock()
    assert abandon_thread_after(5.0, lambda: remaining(clock), clock=clock) == 5.0
    for error in (KeyError("mine"), TimeoutError("mine too")):
        with pytest.raises(type(error), match="mine") as caught:
            Timeout(5.0, abandon=True).call(fail_with, error)
        assert caught.value is error


def fail_with(error: Exception) -> None:
    raise error


def test_a_blocking_call_that_is_late_is_left_behind_keeps_its_slot_and_is_followed_to_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "holdfast")
    thaws, bulkhead, heard = threading.Event(), Bulkhead(1), list[Event]()
    pipeline = compose(Timeout(0.01, abandon=True, name="store", listener=heard.append), bulkhead)
    with pytest.raises(Abandoned, match=r"not done in 0\.01 s"):
        pipeline.call(thaws.wait, 20.0)
    assert bulkhead.running == 1
    assert heard == [Event("timeout.expired", "store", {"seconds": 0.01})]
    thaws.set()
    for thread in threading.enumerate():
        if thread.name == "holdfast-abandonable":
            thread.join(20.0)
    assert bulkhead.running == 0
    assert "an abandoned call ended after all" in caplog.text


def test_a_blocking_call_is_bound_by_the_enclosing_deadline() -> None:
    thaws = threading.Event()
    with pytest.raises(Abandoned), deadline(0.01):
        abandon_thread_after(3_600.0, lambda: thaws.wait(20.0))
    thaws.set()


@pytest.mark.parametrize("abandon", [False, True])
async def test_listeners_hear_of_the_timeout_that_ran_out_and_of_no_other(abandon: bool) -> None:
    clock, heard = FakeClock(), list[Event]()
    inner = Timeout(1.0, name="inner", abandon=abandon, clock=clock, listener=heard.append)
    outer = Timeout(5.0, name="outer", clock=clock, listener=heard.append)
    await ended(compose(outer, inner).acall(asyncio.Event().wait), clock, 1.0)
    assert [event.source for event in heard] == ["inner"]
    assert heard[0] == Event("timeout.expired", "inner", {"seconds": 1.0})
