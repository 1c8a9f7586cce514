"""Many calls at a bounded concurrency: order, outcomes, batches, and what happens when it is interrupted."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import pytest

from holdfast.concurrency import CallOutcome, ConcurrencyManager
from holdfast.deadline import remaining
from holdfast.errors import BulkheadFull, TimedOut
from holdfast.testing.clock import FakeClock


class Work:
    """Calls that take as long as the clock says, counted while they run."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.running = self.most = self.calls = 0

    async def __call__(self, seconds: float) -> float:
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.clock.sleep(seconds)
        finally:
            self.running -= 1
        if seconds == 13:
            raise KeyError("unlucky")
        return seconds


async def finished(task: asyncio.Task[Any], clock: FakeClock) -> Any:
    """Let time pass until it is done."""
    for _ in range(1_000):
        for _ in range(10):
            await asyncio.sleep(0)
        if task.done():
            return await task
        clock.advance(0.5)
    raise AssertionError("it never ended")


async def test_results_are_in_the_order_of_the_calls_and_no_error_stops_the_others() -> None:
    clock = FakeClock()
    work = Work(clock)
    task = asyncio.create_task(ConcurrencyManager(3, clock=clock).map(work, [5.0, 13.0, 1.0, 2.0]))
    outcomes = await finished(task, clock)
    assert [(outcome.index, outcome.value, outcome.ok) for outcome in outcomes] == [
        (0, 5.0, True),
        (1, None, False),
        (2, 1.0, True),
        (3, 2.0, True),
    ]
    assert [outcome.seconds for outcome in outcomes] == [5.0, 13.0, 1.0, 2.0]
    assert outcomes[0].result() == 5.0
    with pytest.raises(KeyError, match="unlucky"):
        outcomes[1].result()


async def test_no_more_run_at_the_same_time_than_it_was_told_however_many_callers_there_are() -> None:
    clock = FakeClock()
    work, manager = Work(clock), ConcurrencyManager(4, clock=clock)
    tasks = [asyncio.create_task(manager.map(work, [1.0] * 10)) for _ in range(3)]
    for task in tasks:
        assert len(await finished(task, clock)) == 10
    assert (work.most, work.calls) == (4, 30)


async def test_what_neither_runs_nor_waits_is_refused_and_says_so_in_its_place() -> None:
    clock = FakeClock()
    work = Work(clock)
    manager = ConcurrencyManager(2, queue_size=3, clock=clock)
    outcomes = await finished(asyncio.create_task(manager.map(work, [1.0] * 8)), clock)
    assert [outcome.ok for outcome in outcomes] == [True] * 5 + [False] * 3
    assert {type(outcome.error) for outcome in outcomes[5:]} == {BulkheadFull}
    assert work.calls == 5


async def test_each_call_has_its_own_time_which_begins_when_it_runs() -> None:
    clock = FakeClock()
    manager = ConcurrencyManager(1, timeout=2.0, clock=clock)
    outcomes = await finished(asyncio.create_task(manager.map(Work(clock), [1.5, 60.0, 1.5])), clock)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), TimedOut, type(None)]


async def test_a_batch_begins_when_the_one_before_has_ended_and_a_delay_is_over() -> None:
    clock, began = FakeClock(monotonic=0.0), list[float]()

    async def work(seconds: float) -> None:
        began.append(clock.monotonic())
        await clock.sleep(seconds)

    manager = ConcurrencyManager(9, batch_size=2, delay_between_batches=10.0, clock=clock)
    await finished(asyncio.create_task(manager.map(work, [1.0, 4.0, 1.0, 1.0, 1.0])), clock)
    assert began == [0.0, 0.0, 14.0, 14.0, 25.0]


async def test_calls_are_taken_from_their_source_only_when_their_batch_begins() -> None:
    clock, taken = FakeClock(), list[int]()

    def source() -> Any:
        for number in range(4):
            taken.append(number)
            yield partial(clock.sleep, 1.0)

    task = asyncio.create_task(ConcurrencyManager(batch_size=2, clock=clock).run(source()))
    await clock.until_waiting(2)
    assert taken == [0, 1]
    assert len(await finished(task, clock)) == 4


async def test_progress_is_told_as_calls_end() -> None:
    clock, told = FakeClock(), list[tuple[int, int]]()

    def progress(ended: int, outcome: CallOutcome[object]) -> None:
        told.append((ended, outcome.index))

    manager = ConcurrencyManager(9, batch_size=3, clock=clock)
    await finished(asyncio.create_task(manager.map(Work(clock), [3.0, 13.0, 1.0, 1.0], progress=progress)), clock)
    assert told == [(1, 2), (2, 0), (3, 1), (4, 3)]


@pytest.mark.parametrize("how", ["cancelled", "progress fails"])
async def test_an_interrupted_run_cancels_its_calls_and_waits_for_them(how: str) -> None:
    clock = FakeClock()
    work, manager = Work(clock), ConcurrencyManager(3, clock=clock)

    def progress(_ended: int, _outcome: CallOutcome[object]) -> None:
        raise LookupError("no more of this")

    task = asyncio.create_task(manager.map(work, [1.0, 60.0, 60.0, 60.0], progress=progress))
    await clock.until_waiting(3)
    if how == "cancelled":
        task.cancel()
    else:
        clock.advance(1.0)
    with pytest.raises(asyncio.CancelledError if how == "cancelled" else LookupError):
        await task
    assert (work.running, clock.waiting) == (0, 0)
    assert len(await finished(asyncio.create_task(manager.map(work, [1.0] * 3)), clock)) == 3


async def test_a_call_that_was_cancelled_by_itself_is_an_outcome() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    outcome = (await ConcurrencyManager().run([give_up]))[0]
    assert isinstance(outcome.error, asyncio.CancelledError)


def test_blocking_calls_run_in_threads_with_the_same_order_bound_and_outcomes() -> None:
    together, lock, running, most = threading.Barrier(3, timeout=60.0), threading.Lock(), 0, 0

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1
        if number == 4:
            raise KeyError("unlucky")
        return number

    told = list[int]()
    manager = ConcurrencyManager(3, batch_size=6)
    outcomes = manager.run_blocking([partial(work, n) for n in range(9)], progress=lambda ended, _: told.append(ended))
    assert [outcome.value for outcome in outcomes] == [0, 1, 2, 3, None, 5, 6, 7, 8]
    assert isinstance(outcomes[4].error, KeyError)
    assert (most, told) == (3, list(range(1, 10)))


def test_a_blocking_call_sees_how_long_it_may_take() -> None:
    clock = FakeClock()
    outcome = ConcurrencyManager(1, timeout=5.0, clock=clock).run_blocking([partial(remaining, clock)])[0]
    assert outcome.result() == 5.0


def test_a_blocking_run_whose_progress_fails_drops_the_calls_that_have_not_begun() -> None:
    calls, told, rest = list[int](), threading.Event(), threading.Event()

    def work(number: int) -> None:
        calls.append(number)
        if number:
            told.wait(60.0)
            rest.wait(0.01)  # each: the caller, who is told of the first, need not be quicker than all of them

    def progress(_ended: int, _outcome: CallOutcome[object]) -> None:
        told.set()
        raise LookupError("no more of this")

    with pytest.raises(LookupError):
        ConcurrencyManager(1).run_blocking([partial(work, n) for n in range(5_000)], progress=progress)
    assert len(calls) < 4_000


@pytest.mark.parametrize(
    "options",
    [{"max_concurrency": 0}, {"queue_size": -1}, {"timeout": 0.0}, {"batch_size": 0}, {"delay_between_batches": -1.0}],
)
def test_options_that_make_no_sense_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ConcurrencyManager(**options)
