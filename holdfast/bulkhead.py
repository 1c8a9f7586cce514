"""Bound how many calls run at the same time, and how many wait for their turn.

A slot that becomes free is handed straight to whoever waits longest, so nobody overtakes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from .checks import require
from .clock import Clock, system_clock
from .errors import BulkheadFull
from .events import Event, Listener, emit
from .policy import FunctionGuard
from .slots import Admission, Slots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")


class Bulkhead(FunctionGuard):
    """At most `limit` calls at the same time; BulkheadFull for those that neither run nor wait.

    limit:       calls, at least 1.
    queue:       calls that may wait, at least 0; infinity refuses nobody.
    max_wait:    seconds that a call waits at most, more than 0.
    retry_after: seconds, told to those that are refused.
    listener:    told `bulkhead.rejected` (running, waiting).

    A sync call that waits blocks its thread, on real time.
    Callers are admitted in the order in which they came. One that is cancelled, or whose time is over,
    gives back its place or its slot. Shared freely by threads and event loops.

    >>> bulkhead = Bulkhead(2, queue=10, max_wait=1.0)
    >>> with bulkhead:  # or `async with`; or as a decorator; or by call and acall
    ...     bulkhead.running
    1
    """

    def __init__(
        self,
        limit: int,
        *,
        name: str = "bulkhead",
        queue: float = 0,
        max_wait: float = math.inf,
        retry_after: float = 1.0,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        require(limit >= 1, "limit", "at least 1", limit)
        require(queue >= 0, "queue", "at least 0", queue)
        require(max_wait > 0, "max_wait", "more than 0", max_wait)
        require(retry_after >= 0, "retry_after", "at least 0", retry_after)
        self.name = name
        self.queue = queue
        self._max_wait = max_wait
        self._retry_after = retry_after
        self._clock = clock
        self._listener = listener
        self._slots = Slots(limit)

    @property
    def limit(self) -> int:
        """May be set at any time: a higher one lets waiting calls go on, a lower one waits for running ones to end."""
        return self._slots.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        require(limit >= 1, "limit", "at least 1", limit)
        self._slots.limit = limit

    @property
    def running(self) -> int:
        """Calls that hold a slot."""
        return self._slots.taken

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return self._slots.waiting

    def __enter__(self) -> Self:
        """Hold a slot for the block."""
        if not self._slots.take():
            self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._slots.leave()

    async def __aenter__(self) -> Self:
        """Hold a slot for the block."""
        if not self._slots.take():
            await self._join()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._slots.leave()

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        take, leave = self._slots.take, self._slots.leave

        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            if not take():
                self._wait()
            try:
                return fn(*args, **kwargs)
            finally:
                leave()

        return guarded

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        take, leave = self._slots.take, self._slots.leave

        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            if not take():
                await self._join()
            try:
                return await fn(*args, **kwargs)
            finally:
                leave()

        return guarded

    def _wait(self) -> None:
        self._insist(self._slots.wait(self.queue, self._max_wait, self._clock))

    async def _join(self) -> None:
        self._insist(await self._slots.join(self.queue, self._max_wait, self._clock))

    def _insist(self, admission: Admission) -> None:
        """Go on with a slot, or raise BulkheadFull."""
        if admission == "granted":
            return
        if self._listener is not None:
            counts = {"running": self.running, "waiting": self.waiting}
            emit(self._listener, Event("bulkhead.rejected", self.name, counts))
        why = "is full" if admission == "full" else "had no slot in time"
        raise BulkheadFull(f"bulkhead {self.name!r} {why}", self._retry_after)


def semaphore(permits: int, *, name: str = "semaphore", max_wait: float = math.inf) -> Bulkhead:
    """A bulkhead that refuses nobody: a counting semaphore for threads and event loops alike.

    permits:  at least 1. max_wait: seconds for a permit, more than 0; then BulkheadFull.

    >>> files = semaphore(3)
    >>> with files:
    ...     files.running
    1
    """
    return Bulkhead(permits, name=name, queue=math.inf, max_wait=max_wait)
