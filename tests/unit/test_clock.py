"""Behaviour of the fake clock, and of the real one where code relies on it."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.clock import Clock, SystemClock
from holdfast.testing.clock import FakeClock
from holdfast.timeout import timeout


def test_advancing_moves_both_clocks_and_correcting_moves_only_the_one_on_the_wall() -> None:
    clock = FakeClock(monotonic=10.0, time=1_000.0)
    clock.advance(2.5)
    clock.correct(-3600)
    assert (clock.monotonic(), clock.time()) == (12.5, 1_002.5 - 3600)


def test_what_is_due_is_called_in_order_at_its_own_time() -> None:
    clock, called = FakeClock(monotonic=0.0), list[tuple[str, float]]()
    for name, due in (("late", 3.0), ("early", 1.0), ("never", 9.0)):
        clock.call_later(due, lambda name=name: called.append((name, clock.monotonic())))  # type: ignore[misc]
    clock.call_later(2.0, lambda: called.append(("cancelled", 0.0))).cancel()
    clock.advance(5.0)
    assert called == [("early", 1.0), ("late", 3.0)]


async def test_sleepers_wake_when_their_time_has_come_and_not_before() -> None:
    clock = FakeClock()
    sleeper = asyncio.create_task(clock.sleep(3 * 86_400))
    await clock.until_waiting()
    clock.advance(3 * 86_400 - 1)
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.advance(1)
    await sleeper


async def test_a_sleeper_may_be_cancelled_and_be_due_in_one_move() -> None:
    clock = FakeClock()

    async def late() -> None:
        async with timeout(1, clock=clock):
            await clock.sleep(2)

    task = asyncio.create_task(late())
    await clock.until_waiting(2)
    clock.advance(10)
    with pytest.raises(TimeoutError):
        await task


async def test_waiting_for_a_sleeper_that_never_comes_fails_instead_of_hanging() -> None:
    with pytest.raises(AssertionError, match="0 timers waiting, expected 1"):
        await FakeClock().until_waiting()


def test_a_pause_passes_at_once_and_takes_its_time() -> None:
    clock = FakeClock(monotonic=0.0)
    clock.pause(60)
    assert clock.monotonic() == 60


def test_it_never_goes_back() -> None:
    with pytest.raises(ValueError, match="never goes back"):
        FakeClock().advance(-1)


async def test_the_system_clock_calls_and_sleeps_on_the_running_loop() -> None:
    clock: Clock = SystemClock()
    called = asyncio.Event()
    clock.call_later(0.0, called.set)
    before = clock.monotonic()
    await clock.sleep(0.001)
    await asyncio.wait_for(called.wait(), 60)
    assert clock.monotonic() > before
