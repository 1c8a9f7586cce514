"""Behaviour of calls that nobody waits for any more once they are late."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from holdfast.bulkhead import Bulkhead
from holdfast.errors import Abandoned, TimedOut
from holdfast.events import Event
from holdfast.policy import compose
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout, abandon_after, abandon_thread_after, deadline, remaining, timeout
from tests.support.late import ended
from tests.support.polling import until
from tests.support.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Long enough for a machine that is busy with other things; nothing waits for it unless it fails.
PATIENCE = 60.0


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


def test_a_blocking_call_in_time_gives_its_result_or_its_error_and_sees_its_deadline() -> None:
    clock = FakeClock()
    assert abandon_thread_after(PATIENCE, lambda: remaining(clock), clock=clock) == PATIENCE
    for error in (KeyError("mine"), TimeoutError("mine too")):
        with pytest.raises(type(error), match="mine") as caught:
            Timeout(PATIENCE, abandon=True).call(fail_with, error)
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
        pipeline.call(thaws.wait, PATIENCE)
    wait_until(lambda: bulkhead.running == 1, "the call has begun, late as it may be")
    assert heard == [Event("timeout.expired", "store", {"seconds": 0.01})]
    thaws.set()
    for thread in threading.enumerate():
        if thread.name == "holdfast-abandonable":
            thread.join(PATIENCE)
    assert bulkhead.running == 0
    assert "an abandoned call ended after all" in caplog.text


def test_a_blocking_call_is_bound_by_the_enclosing_deadline() -> None:
    thaws, clock = threading.Event(), FakeClock()  # which does not pass while this thread is kept from going on
    with pytest.raises(Abandoned), deadline(0.01, clock=clock):
        abandon_thread_after(3_600.0, lambda: thaws.wait(PATIENCE), clock=clock)
    thaws.set()
