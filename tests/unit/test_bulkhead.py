"""Behaviour of the bulkhead: who runs, who waits, who is refused, and that no slot is ever lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.bulkhead import Bulkhead, semaphore
from holdfast.deadline import deadline
from holdfast.errors import BulkheadFull, TimedOut
from holdfast.events import Event
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout
from tests.support.processes import wait_until

PATIENCE = 60.0


class Work:
    """Calls that run until they are told to end."""

    def __init__(self) -> None:
        self.began = list[str]()
        self.most = 0
        self._running = 0
        self._ends = dict[str, asyncio.Event]()

    async def __call__(self, name: str) -> str:
        self.began.append(name)
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            await self._ends.setdefault(name, asyncio.Event()).wait()
        finally:
            self._running -= 1
        return name

    def end(self, name: str) -> None:
        self._ends.setdefault(name, asyncio.Event()).set()


async def turns() -> None:
    """Let every task come as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_as_many_run_as_the_limit_says_as_many_wait_as_the_queue_holds_and_the_rest_is_refused() -> None:
    bulkhead, work = Bulkhead(2, queue=3, retry_after=1.5), Work()
    tasks = [asyncio.create_task(bulkhead.acall(work, str(number))) for number in range(10)]
    await turns()
    assert (bulkhead.running, bulkhead.waiting, work.began) == (2, 3, ["0", "1"])
    for task in tasks[5:]:
        with pytest.raises(BulkheadFull, match=r"'bulkhead' is full; retry in 1\.5 s"):
            await task
    for number in range(5):
        work.end(str(number))
    assert await asyncio.gather(*tasks[:5]) == ["0", "1", "2", "3", "4"]
    assert (work.began, work.most) == (["0", "1", "2", "3", "4"], 2)
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


async def test_nobody_overtakes_who_waits() -> None:
    bulkhead, work = Bulkhead(1, queue=9), Work()
    first = asyncio.create_task(bulkhead.acall(work, "first"))
    await turns()
    second = asyncio.create_task(bulkhead.acall(work, "second"))
    await turns()
    work.end("first")
    await first
    third = asyncio.create_task(bulkhead.acall(work, "third"))
    await turns()
    assert work.began == ["first", "second"]
    work.end("second")
    work.end("third")
    await asyncio.gather(second, third)


async def test_who_waits_too_long_is_refused_and_leaves_the_queue() -> None:
    clock, work = FakeClock(), Work()
    bulkhead = Bulkhead(1, queue=1, max_wait=2.0, clock=clock)
    first = asyncio.create_task(bulkhead.acall(work, "first"))
    await turns()
    second = asyncio.create_task(bulkhead.acall(work, "second"))
    await clock.until_waiting()
    clock.advance(2.0)
    with pytest.raises(BulkheadFull, match="no slot in time"):
        await second
    assert (bulkhead.running, bulkhead.waiting) == (1, 0)
    work.end("first")
    await first


async def test_a_slot_granted_in_the_moment_of_cancellation_goes_to_the_next() -> None:
    bulkhead, work = Bulkhead(1, queue=9), Work()
    tasks = [asyncio.create_task(bulkhead.acall(work, name)) for name in ("first", "second", "third")]
    await turns()
    work.end("first")
    while not tasks[0].done():
        await asyncio.sleep(0)
    tasks[1].cancel()  # it has its slot by now, and has not run yet
    await turns()
    assert (work.began, bulkhead.running) == (["first", "third"], 1)
    work.end("third")
    assert await tasks[2] == "third"
    assert bulkhead.running == 0


async def test_an_error_gives_the_slot_back() -> None:
    bulkhead = Bulkhead(1)

    async def fail() -> None:
        raise KeyError("mine")

    for _ in range(3):
        with pytest.raises(KeyError):
            await bulkhead.acall(fail)
        with pytest.raises(KeyError):
            bulkhead.call({"yours": 1}.__getitem__, "mine")
    assert bulkhead.running == 0


def test_waiting_threads_and_tasks_share_one_queue() -> None:
    bulkhead, release = Bulkhead(1, queue=2), threading.Event()
    with ThreadPoolExecutor(3) as pool:
        holder = pool.submit(bulkhead.call, release.wait, PATIENCE)
        wait_until(lambda: bulkhead.running == 1, "the slot is taken")
        thread = pool.submit(bulkhead.call, lambda: "thread")
        wait_until(lambda: bulkhead.waiting == 1, "they wait")
        task = pool.submit(asyncio.run, bulkhead.acall(asyncio.sleep, 0, "task"))
        wait_until(lambda: bulkhead.waiting == 2, "they wait")
        with pytest.raises(BulkheadFull):
            bulkhead.call(lambda: pytest.fail("let in"))
        release.set()
        assert (holder.result(PATIENCE), thread.result(PATIENCE), task.result(PATIENCE)) == (True, "thread", "task")
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


def test_a_waiting_thread_goes_by_its_own_limit_and_by_the_enclosing_deadline() -> None:
    def nested(bulkhead: Bulkhead) -> None:
        with pytest.raises(BulkheadFull, match="no slot in time"):
            Timeout(0.01).call(bulkhead.call, pytest.fail, "let in")

    for bulkhead in (Bulkhead(1, queue=1), Bulkhead(1, queue=1, max_wait=0.01)):
        bulkhead.call(nested, bulkhead)
        assert (bulkhead.running, bulkhead.waiting) == (0, 0)


async def test_a_waiting_task_goes_by_a_deadline_that_does_not_cancel_it() -> None:
    clock, work = FakeClock(), Work()
    bulkhead = Bulkhead(1, queue=1, clock=clock)
    running = asyncio.create_task(bulkhead.acall(work, "first"))
    await turns()
    with deadline(5.0, clock=clock):
        waiting = asyncio.create_task(bulkhead.acall(work, "second"))
    await clock.until_waiting()
    clock.advance(5.0)
    with pytest.raises(BulkheadFull, match="no slot in time"):
        await waiting
    work.end("first")
    assert (await running, work.began, bulkhead.running, bulkhead.waiting) == ("first", ["first"], 0, 0)


async def test_a_waiting_task_that_its_timeout_cancels_has_timed_out() -> None:
    clock = FakeClock()
    bulkhead = Bulkhead(1, queue=1, clock=clock)
    async with bulkhead:
        waiting = asyncio.create_task(Timeout(5.0, clock=clock).acall(bulkhead.acall, asyncio.sleep, 0))
        await clock.until_waiting()
        clock.advance(5.0)
        with pytest.raises(TimedOut):
            await waiting
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


def test_an_interrupted_thread_leaves_the_queue() -> None:
    class Interrupted(BaseException):
        """What the signal handler raises."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise Interrupted

    def signal_when_waiting(thread: int) -> None:
        wait_until(lambda: bulkhead.waiting == 1, "they wait")
        signal.pthread_kill(thread, signal.SIGUSR1)

    bulkhead = Bulkhead(1, queue=1)
    before = signal.signal(signal.SIGUSR1, interrupt)
    threading.Thread(target=signal_when_waiting, args=[threading.get_ident()]).start()
    try:
        with pytest.raises(Interrupted):
            bulkhead.call(bulkhead.call, int)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


def test_a_slot_is_not_lost_to_an_event_loop_that_was_closed_while_it_waited() -> None:
    bulkhead = Bulkhead(1, queue=2)

    def close_a_loop_that_waits() -> asyncio.Task[int]:
        loop = asyncio.new_event_loop()
        task = loop.create_task(bulkhead.acall(asyncio.sleep, 0, 1))
        loop.run_until_complete(turns())
        assert bulkhead.waiting == 1
        loop.close()
        return task

    stranded = bulkhead.call(close_a_loop_that_waits)
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)
    stranded._log_destroy_pending = False  # type: ignore[attr-defined]
    assert bulkhead.call(lambda: "next") == "next"
    coroutine = stranded.get_coro()
    assert coroutine is not None
    coroutine.close()
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)


def test_many_stranded_callers_are_passed_over_for_one_who_is_there() -> None:
    bulkhead, loop = Bulkhead(1, queue=3_000), asyncio.new_event_loop()

    def strand() -> list[asyncio.Task[int]]:
        tasks = [loop.create_task(bulkhead.acall(asyncio.sleep, 0, 1)) for _ in range(2_000)]
        loop.run_until_complete(turns())
        loop.close()
        return tasks

    with ThreadPoolExecutor(1) as pool:
        with bulkhead:
            stranded = strand()
            waiter = pool.submit(bulkhead.call, lambda: "here")
            wait_until(lambda: bulkhead.waiting == 2_001, "they wait")
        assert waiter.result(PATIENCE) == "here"
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)
    for task in stranded:
        task._log_destroy_pending = False  # type: ignore[attr-defined]


async def test_a_block_holds_a_slot_until_it_ends_however_it_does() -> None:
    bulkhead = Bulkhead(1)
    for error in (None, KeyError("mine")):
        with contextlib.suppress(KeyError):
            async with bulkhead:
                with pytest.raises(BulkheadFull), bulkhead:
                    pytest.fail("let in")
                if error:
                    raise error
        with bulkhead:
            assert bulkhead.running == 1
        assert bulkhead.running == 0


async def test_a_higher_limit_lets_waiting_calls_go_on_and_a_lower_one_waits_for_running_ones_to_end() -> None:
    bulkhead, work = Bulkhead(1, queue=9), Work()
    tasks = [asyncio.create_task(bulkhead.acall(work, str(number))) for number in range(4)]
    await turns()
    bulkhead.limit = 3
    await turns()
    assert work.began == ["0", "1", "2"]
    bulkhead.limit = 1
    for number in range(2):
        work.end(str(number))
        await turns()
        assert (work.began, bulkhead.running) == (["0", "1", "2"], 2 - number)
    work.end("2")
    await turns()
    assert work.began == ["0", "1", "2", "3"]
    work.end("3")
    await asyncio.gather(*tasks)
    bulkhead.queue = 0
    with bulkhead, pytest.raises(BulkheadFull):
        bulkhead.call(pytest.fail, "let in")


def test_threads_that_crowd_in_never_run_more_than_the_limit_and_lose_no_slot() -> None:
    bulkhead, most, inside = Bulkhead(3, queue=100), 0, list[None]()

    def work() -> None:
        nonlocal most
        inside.append(None)
        most = max(most, len(inside))
        inside.pop()

    async def some(number: int) -> None:
        async def later() -> None:
            work()

        for _ in range(number):
            await bulkhead.acall(later)

    def many() -> None:
        for _ in range(2_000):
            bulkhead.call(work)
        asyncio.run(some(500))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(many) for _ in range(6)]:
                done.result(PATIENCE)
    finally:
        sys.setswitchinterval(interval)
    assert 1 <= most <= 3
    assert (bulkhead.running, bulkhead.waiting) == (0, 0)
    bulkhead.queue = 0
    with bulkhead, bulkhead, bulkhead, pytest.raises(BulkheadFull):
        bulkhead.call(pytest.fail, "let in")


async def test_a_semaphore_refuses_nobody() -> None:
    permits, work = semaphore(2), Work()
    tasks = [asyncio.create_task(permits.acall(work, str(number))) for number in range(100)]
    await turns()
    assert (permits.running, permits.waiting) == (2, 98)
    for number in range(100):
        work.end(str(number))
    assert len(await asyncio.gather(*tasks)) == 100
    assert work.most == 2


def test_listeners_hear_of_refusals() -> None:
    heard = list[Event]()
    bulkhead = Bulkhead(1, name="store", listener=heard.append)
    with pytest.raises(BulkheadFull):
        bulkhead.call(bulkhead.call, pytest.fail, "let in")
    assert heard == [Event("bulkhead.rejected", "store", {"running": 1, "waiting": 0})]


@settings(max_examples=200, deadline=None)
@given(
    limit=st.integers(1, 3),
    queue=st.integers(0, 3),
    story=st.lists(st.tuples(st.sampled_from("++++eeecct"), st.integers(0, 9)), min_size=10, max_size=80),
)
def test_no_slot_is_lost_wherever_calls_are_cancelled(limit: int, queue: int, story: list[tuple[str, int]]) -> None:
    asyncio.run(live(limit, queue, story))


async def live(limit: int, queue: int, story: list[tuple[str, int]]) -> None:
    """Begin (+), end (e) and cancel (c) calls, and let time pass (t), with few or many turns between."""
    clock, work = FakeClock(), Work()
    bulkhead = Bulkhead(limit, queue=queue, max_wait=5.0, clock=clock)
    tasks = list[asyncio.Task[str]]()
    for step, number in story:
        if step == "+":
            tasks.append(asyncio.create_task(bulkhead.acall(work, str(len(tasks)))))
        elif step == "t":
            clock.advance(number)
        elif tasks and step == "e":
            work.end(str(number % len(tasks)))
        elif tasks:
            tasks[number % len(tasks)].cancel()
        for _ in range(number % 4):
            await asyncio.sleep(0)
        assert bulkhead.waiting <= queue
    assert work.most <= limit
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (bulkhead.running, bulkhead.waiting, clock.waiting) == (0, 0, 0)


@pytest.mark.parametrize(
    "options",
    [{"limit": 0}, {"limit": 1, "queue": -1}, {"limit": 1, "max_wait": 0.0}, {"limit": 1, "retry_after": -1.0}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Bulkhead(**options)  # type: ignore[arg-type]
