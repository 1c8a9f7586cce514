"""A clock that moves only when told to."""

from __future__ import annotations

import asyncio
import heapq
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Turns of the event loop that `until_waiting` gives the code under test: far more than it needs.
_TURNS = 10_000


class FakeTimer:
    """A call that is due on a FakeClock."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeClock:
    """A Clock for tests: `advance` moves it, and whatever falls due on the way is called in order.

    One thread moves it; others may read it.
    """

    def __init__(self, monotonic: float = 1_000.0, time: float = 1_700_000_000.0) -> None:
        self._monotonic = monotonic
        self._time = time
        self._order = count()
        self._timers: list[tuple[float, int, FakeTimer]] = []

    def monotonic(self) -> float:
        return self._monotonic

    def time(self) -> float:
        return self._time

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return await asyncio.sleep(0)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, partial(_wake, woken))
        try:
            await woken
        finally:
            timer.cancel()

    def pause(self, seconds: float) -> None:
        """Move on by `seconds`: nobody else would while this thread is blocked."""
        self.advance(max(seconds, 0.0))

    def call_later(self, seconds: float, callback: Callable[[], object]) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self._timers, (self._monotonic + seconds, next(self._order), timer))
        return timer

    @property
    def waiting(self) -> int:
        """How many timers, sleepers among them, are still to come."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass. What is called runs here; the tasks it wakes run when the event loop next turns."""
        if seconds < 0:
            raise ValueError(f"a monotonic clock never goes back, got {seconds}")
        end = self._monotonic + seconds
        while self._timers and self._timers[0][0] <= end:
            due, _, timer = heapq.heappop(self._timers)
            self._move(due)
            if not timer.cancelled:
                timer.callback()
        self._move(end)

    def correct(self, seconds: float) -> None:
        """Set the wall clock forward, or back, as an administrator or NTP does; durations do not notice."""
        self._time += seconds

    async def until_waiting(self, timers: int = 1) -> None:
        """Let other tasks run until so many timers are waiting; AssertionError if that never happens."""
        for _ in range(_TURNS):
            if self.waiting >= timers:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{self.waiting} timers waiting, expected {timers}")

    def _move(self, to: float) -> None:
        if to > self._monotonic:
            self._time += to - self._monotonic
            self._monotonic = to


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
