"""Try a second time when the first try takes longer than most, and take whichever answers first.

Source: J. Dean and L. A. Barroso, "The Tail at Scale", Communications of the ACM 56 (2013): hedged requests.
"""

from __future__ import annotations

import asyncio
import math
import threading
from bisect import bisect_left, insort
from collections import deque
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .checks import require
from .clock import Clock, Timer, system_clock
from .events import Event, Listener, emit
from .joining import stop
from .policy import FunctionGuard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from .budget import RetryBudget

P = ParamSpec("P")
T = TypeVar("T")

# Calls by whose times an unset delay is learned.
_REMEMBERED = 100


class Hedge(FunctionGuard):
    """Begins another try each time that so many seconds have passed without an answer.

    Async calls only, TypeError for others: nobody could cancel a sync call that is not needed any more.

    delay:    seconds, at least 0; None learns it: the `quantile` of how long the last 100 good calls took.
    quantile: more than 0 and less than 1; until `minimum` calls are known, there is no second try.
    minimum:  calls, at least 1.
    tries:    in all, at least 2.
    budget:   bounds the second tries of all who share it.
    listener: told `hedge.started` and `hedge.won` (attempt).

    The first good answer counts; tries that fail are passed over while another still runs, and when all have
    failed the error of the first comes out. The others are cancelled and awaited: when the answer is there,
    nothing goes on. Both tries may take effect, so hedge only what may be done twice.

    >>> hedge = Hedge(0.05)
    >>> asyncio.run(hedge.acall(asyncio.sleep, 0, "answer"))  # or as a decorator
    'answer'
    """

    def __init__(
        self,
        delay: float | None = None,
        *,
        name: str = "hedge",
        quantile: float = 0.95,
        minimum: int = 20,
        tries: int = 2,
        budget: RetryBudget | None = None,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        require(delay is None or 0 <= delay < math.inf, "delay", "at least 0 and finite", delay)
        require(0 < quantile < 1, "quantile", "more than 0 and less than 1", quantile)
        require(minimum >= 1, "minimum", "at least 1", minimum)
        require(tries >= 2, "tries", "at least 2", tries)
        self.name = name
        self.tries = tries
        self._delay = delay
        self._quantile = quantile
        self._minimum = minimum
        self._budget = budget
        self._clock = clock
        self._listener = listener
        self._latencies = _Latencies()

    @property
    def delay(self) -> float:
        """Seconds after which another try begins; infinity while that is not known."""
        if self._delay is not None:
            return self._delay
        return self._latencies.quantile(self._quantile) if len(self._latencies) >= self._minimum else math.inf

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            if self._budget is not None:
                self._budget.deposit()
            began = self._clock.monotonic()
            race = _Race(lambda: fn(*args, **kwargs))
            race.start()
            try:
                result = await self._run(race)
            finally:
                if race.runs():
                    await race.end()
            if self._delay is None:
                self._latencies.add(self._clock.monotonic() - began)
            return result

        return guarded

    async def _run(self, race: _Race) -> Any:
        allowed = self.tries
        while True:
            timer = self._timer(race) if len(race.tries) < allowed else None
            try:
                late = await race.news()
            finally:
                if timer is not None:
                    timer.cancel()
            winner = race.winner()
            if winner is not None:
                if winner > 0:
                    self._tell("hedge.won", winner + 1)
                return race.tries[winner].result()
            if late:
                allowed = self._another(race, allowed)

    def _another(self, race: _Race, allowed: int) -> int:
        if self._budget is not None and not self._budget.withdraw():
            return len(race.tries)
        race.start()
        self._tell("hedge.started", len(race.tries))
        return allowed

    def _timer(self, race: _Race) -> Timer | None:
        delay = self.delay
        return None if delay == math.inf else self._clock.call_later(delay, race.late)

    def _tell(self, name: str, attempt: int) -> None:
        if self._listener is not None:
            emit(self._listener, Event(name, self.name, {"attempt": attempt}))


class _Race:
    """The tries of one call."""

    def __init__(self, start: Callable[[], Awaitable[Any]]) -> None:
        self.tries = list[asyncio.Future[Any]]()
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Future[None] = self._loop.create_future()
        self._late = False

    def start(self) -> None:
        awaitable = self._start()
        task = self._loop.create_task(awaitable) if iscoroutine(awaitable) else asyncio.ensure_future(awaitable)
        task.add_done_callback(self._ended)
        self.tries.append(task)

    def late(self) -> None:
        self._late = True
        self._tell()

    async def news(self) -> bool:
        """Return when a try has ended, or when it has become late: then True."""
        await self._news
        self._news = self._loop.create_future()
        late, self._late = self._late, False
        return late

    def _ended(self, task: asyncio.Future[Any]) -> None:
        if not task.cancelled():
            task.exception()  # looked at, whoever wins: it is not to be logged as nobody's
        self._tell()

    def _tell(self) -> None:
        if not self._news.done():
            self._news.set_result(None)

    def winner(self) -> int | None:
        """The try whose outcome is the call's: the first good one, or the first of all when none is left."""
        for number, task in enumerate(self.tries):
            if task.done() and not task.cancelled() and task.exception() is None:
                return number
        return 0 if all(task.done() for task in self.tries) else None

    def runs(self) -> bool:
        return not all(task.done() for task in self.tries)

    async def end(self) -> None:
        """Cancel what still runs, and return when it has ended."""
        await stop(task for task in self.tries if not task.done())


class _Latencies:
    """How long the last _REMEMBERED calls took: once in the order of time, to forget the oldest, once by size."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_time = deque[float]()
        self._by_size = list[float]()

    def __len__(self) -> int:
        return len(self._by_size)

    def add(self, seconds: float) -> None:
        with self._lock:
            self._in_time.append(seconds)
            insort(self._by_size, seconds)
            if len(self._in_time) > _REMEMBERED:
                del self._by_size[bisect_left(self._by_size, self._in_time.popleft())]

    def quantile(self, which: float) -> float:
        with self._lock:
            return self._by_size[min(math.ceil(which * len(self._by_size)), len(self._by_size)) - 1]
