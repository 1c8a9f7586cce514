"""Bound how many calls run at the same time, and how many wait for their turn.

A slot that becomes free is handed straight to whoever waits longest, so nobody overtakes. The queue
knows nothing of threads or event loops: a waiting call leaves word how to wake it, and so calls of
both kinds share one bulkhead.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .clock import Clock, system_clock
from .errors import BulkheadFull
from .events import Event, Listener, emit
from .policy import decorate
from .timeout import remaining

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")


class _Turn:
    """A place in the queue."""

    __slots__ = ("granted", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.granted = False


class Bulkhead:
    """At most `limit` calls at the same time; BulkheadFull for those that neither run nor wait.

    limit:       calls, at least 1.
    queue:       calls that may wait, at least 0.
    max_wait:    seconds that a call waits at most, more than 0.
    retry_after: seconds, told to those that are refused.
    listener:    told `bulkhead.rejected` (running, waiting).

    Callers are admitted in the order in which they came. One that is cancelled, or whose time is over,
    gives back its place or its slot. Shared freely by threads and event loops.
    """

    def __init__(
        self,
        limit: int,
        *,
        name: str = "bulkhead",
        queue: int = 0,
        max_wait: float = math.inf,
        retry_after: float = 1.0,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        if limit < 1 or queue < 0:
            raise ValueError(f"limit must be at least 1 and queue at least 0, got {limit} and {queue}")
        if not max_wait > 0 or not retry_after >= 0:
            raise ValueError(f"max_wait must be more than 0, retry_after at least 0, got {max_wait}, {retry_after}")
        self.name = name
        self.limit = limit
        self.queue = queue
        self._max_wait = max_wait
        self._retry_after = retry_after
        self._clock = clock
        self._listener = listener
        self._lock = threading.Lock()
        self._turns = deque[_Turn]()
        self._running = 0

    @property
    def running(self) -> int:
        """Calls that hold a slot."""
        return self._running

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._turns)

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Guard a function, as a decorator; sync or async as the function is."""
        return decorate(fn, self._guard, self._guard_async)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` in a slot; waiting for one blocks this thread, and runs on real time."""
        return self._guard(fn)(*args, **kwargs)

    def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Await `fn` in a slot."""
        return self._guard_async(fn)(*args, **kwargs)

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            if not self._take():
                self._wait()
            try:
                return fn(*args, **kwargs)
            finally:
                self._leave()

        return guarded

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            if not self._take():
                await self._await()
            try:
                return await fn(*args, **kwargs)
            finally:
                self._leave()

        return guarded

    def _wait(self) -> None:
        woken = threading.Event()
        turn = self._join(woken.set)
        try:
            longest = min(self._max_wait, remaining(self._clock))
            woken.wait(None if longest == math.inf else longest)
        except BaseException:
            self._give_up(turn)
            raise
        self._insist(turn)

    async def _await(self) -> None:
        loop = asyncio.get_running_loop()
        woken = loop.create_future()
        turn = self._join(lambda: loop.call_soon_threadsafe(_tell, woken))
        timer = None if self._max_wait == math.inf else self._clock.call_later(self._max_wait, lambda: _tell(woken))
        try:
            await woken
        except BaseException:
            self._give_up(turn)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        self._insist(turn)

    def _take(self) -> bool:
        with self._lock:
            free = self._running < self.limit
            self._running += free
        return free

    def _join(self, wake: Callable[[], object]) -> _Turn:
        """A place in the queue, or a slot that has become free just now."""
        turn = _Turn(wake)
        with self._lock:
            if self._running < self.limit:
                self._running += 1
                turn.granted = True
                wake()
                return turn
            if len(self._turns) < self.queue:
                self._turns.append(turn)
                return turn
        raise self._refusal("is full")

    def _insist(self, turn: _Turn) -> None:
        """Go on with the slot, or leave the queue without one."""
        with self._lock:
            if turn.granted:
                return
            self._turns.remove(turn)
        raise self._refusal("had no slot in time")

    def _give_up(self, turn: _Turn) -> None:
        with self._lock:
            if not turn.granted:
                self._turns.remove(turn)
                return
        self._leave()

    def _leave(self) -> None:
        """Hand the slot to the first in the queue who can still take it."""
        while True:
            with self._lock:
                if not self._turns:
                    self._running -= 1
                    return
                turn = self._turns.popleft()
                turn.granted = True
            try:
                turn.wake()
            except RuntimeError:
                # Its event loop was closed under it: nobody is there to take the slot.
                continue
            return

    def _refusal(self, why: str) -> BulkheadFull:
        if self._listener is not None:
            counts = {"running": self._running, "waiting": len(self._turns)}
            emit(self._listener, Event("bulkhead.rejected", self.name, counts))
        return BulkheadFull(f"bulkhead {self.name!r} {why}", self._retry_after)


def _tell(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
