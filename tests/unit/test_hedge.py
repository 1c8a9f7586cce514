"""Behaviour of hedged calls, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
from typing import Any

import pytest

from holdfast.budget import RetryBudget
from holdfast.errors import Unavailable
from holdfast.events import Event
from holdfast.hedge import Hedge
from holdfast.testing.clock import FakeClock


class Server:
    """Tries that end when the test says so."""

    def __init__(self) -> None:
        self.tries = list[asyncio.Future[str]]()
        self.running = 0
        self.cleaned = 0

    async def __call__(self) -> str:
        answer = asyncio.get_running_loop().create_future()
        self.tries.append(answer)
        self.running += 1
        try:
            return await answer
        except asyncio.CancelledError:
            for _ in range(5):
                await asyncio.sleep(0)
            self.cleaned += 1
            raise
        finally:
            self.running -= 1

    async def reached(self, tries: int) -> None:
        for _ in range(1_000):
            if len(self.tries) == tries:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{len(self.tries)} tries, expected {tries}")


async def begun(hedge: Hedge, server: Server) -> asyncio.Task[str]:
    before = len(server.tries)
    task = asyncio.create_task(hedge.acall(server))
    await server.reached(before + 1)
    return task


async def good_call(hedge: Hedge, server: Server, clock: FakeClock, seconds: float) -> None:
    task = await begun(hedge, server)
    clock.advance(seconds)
    server.tries[-1].set_result("learned")
    await task


async def test_an_answer_in_time_needs_no_second_try() -> None:
    clock, server = FakeClock(), Server()
    task = await begun(Hedge(1.0, clock=clock), server)
    clock.advance(0.9)
    server.tries[0].set_result("first")
    assert await task == "first"
    assert (len(server.tries), clock.waiting) == (1, 0)


async def test_a_late_call_is_tried_a_second_time_and_the_loser_has_ended_when_the_answer_is_there() -> None:
    clock, server = FakeClock(), Server()
    for winner, answer in ((0, "first"), (1, "second")):
        server.tries.clear()
        task = await begun(Hedge(1.0, clock=clock), server)
        clock.advance(1.0)
        await server.reached(2)
        server.tries[winner].set_result(answer)
        assert await task == answer
        assert (server.running, server.cleaned, clock.waiting) == (0, winner + 1, 0)


async def test_there_are_no_more_tries_than_it_was_told() -> None:
    clock, server = FakeClock(), Server()
    task = await begun(Hedge(1.0, tries=3, clock=clock), server)
    for tries in (2, 3):
        clock.advance(1.0)
        await server.reached(tries)
    assert clock.waiting == 0
    server.tries[1].set_result("second")
    assert await task == "second"
    assert server.running == 0


async def test_a_try_that_fails_is_passed_over_while_another_runs() -> None:
    clock, server = FakeClock(), Server()
    task = await begun(Hedge(1.0, clock=clock), server)
    clock.advance(1.0)
    await server.reached(2)
    server.tries[0].set_exception(Unavailable("first"))
    await asyncio.sleep(0)
    server.tries[1].set_result("second")
    assert await task == "second"


async def test_when_all_have_failed_the_error_of_the_first_comes_out(caplog: pytest.LogCaptureFixture) -> None:
    clock, server = FakeClock(), Server()
    task = await begun(Hedge(1.0, clock=clock), server)
    clock.advance(1.0)
    await server.reached(2)
    server.tries[1].set_exception(Unavailable("second"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    server.tries[0].set_exception(Unavailable("first"))
    with pytest.raises(Unavailable, match="first"):
        await task
    del task
    gc.collect()  # a task whose error nobody looked at would say so here
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_failure_before_there_was_a_second_try_comes_out_at_once() -> None:
    clock, server = FakeClock(), Server()
    task = await begun(Hedge(1.0, clock=clock), server)
    server.tries[0].set_exception(Unavailable("first"))
    with pytest.raises(Unavailable):
        await task
    assert clock.waiting == 0


@pytest.mark.parametrize("how", ["another wins at the same moment", "the caller is cancelled"])
async def test_a_try_that_failed_is_nobodys_news_when(how: str, caplog: pytest.LogCaptureFixture) -> None:
    clock, server = FakeClock(), Server()
    task = await begun(Hedge(1.0, clock=clock), server)
    clock.advance(1.0)
    await server.reached(2)
    server.tries[1].set_exception(Unavailable("second"))
    if how == "the caller is cancelled":
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
    else:
        server.tries[0].set_result("first")
    await asyncio.gather(task, return_exceptions=True)
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_loser_that_fails_as_it_is_cancelled_is_nobodys_news(caplog: pytest.LogCaptureFixture) -> None:
    clock, tries = FakeClock(), list[int]()

    async def work() -> str:
        tries.append(len(tries))
        if len(tries) == 2:
            return "second"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Unavailable("as it was cancelled") from None
        return "never"

    task = asyncio.create_task(Hedge(1.0, clock=clock).acall(work))
    await clock.until_waiting()
    clock.advance(1.0)
    assert await task == "second"
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("tries", [1, 2])
async def test_cancelling_the_call_cancels_every_try_and_waits_for_them(tries: int) -> None:
    clock, server = FakeClock(), Server()
    task = await begun(Hedge(1.0, clock=clock), server)
    if tries == 2:
        clock.advance(1.0)
        await server.reached(2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (server.running, server.cleaned, clock.waiting) == (0, tries, 0)


async def test_the_delay_is_learned_from_how_long_calls_take() -> None:
    clock, server = FakeClock(), Server()
    hedge = Hedge(quantile=0.9, minimum=10, clock=clock)
    for number in range(1, 11):
        assert hedge.delay == math.inf
        await good_call(hedge, server, clock, float(number))
    assert hedge.delay == 9.0
    for _ in range(100):
        await good_call(hedge, server, clock, 0.5)
    assert hedge.delay == 0.5


async def test_a_call_that_its_second_try_has_saved_makes_the_delay_no_shorter() -> None:
    clock, server = FakeClock(), Server()
    hedge = Hedge(quantile=0.5, minimum=1, clock=clock)
    await good_call(hedge, server, clock, 4.0)
    for _ in range(10):
        server.tries.clear()
        task = await begun(hedge, server)
        clock.advance(4.0)
        await server.reached(2)
        server.tries[1].set_result("second")
        await task
    assert hedge.delay == 4.0


async def test_a_spent_budget_means_no_second_try() -> None:
    clock, server, heard = FakeClock(), Server(), list[Event]()
    budget = RetryBudget(0.0, reserve=1, per_second=0, clock=clock)
    hedge = Hedge(1.0, tries=9, budget=budget, clock=clock, listener=heard.append)
    task = await begun(hedge, server)
    for _ in range(5):
        clock.advance(1.0)
        for _ in range(5):
            await asyncio.sleep(0)
    assert (len(server.tries), clock.waiting) == (2, 0)
    server.tries[1].set_result("second")
    assert await task == "second"
    assert [(event.name, event.attributes["attempt"]) for event in heard] == [("hedge.started", 2), ("hedge.won", 2)]


def test_a_sync_function_cannot_be_hedged() -> None:
    with pytest.raises(TypeError, match="async calls only"):
        Hedge(1.0).call(int)
    with pytest.raises(TypeError, match="async calls only"):
        Hedge(1.0)(int)


@pytest.mark.parametrize(
    "options", [{"delay": -1.0}, {"delay": math.inf}, {"quantile": 1.0}, {"minimum": 0}, {"tries": 1}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be|must be at least"):
        Hedge(**options)
