"""Make many calls, a bounded number at the same time, and keep what came of each in its place."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from .bulkhead import Bulkhead
from .checks import require
from .clock import Clock, system_clock
from .deadline import deadline
from .joining import cancelled_by_caller, stop
from .timeout import timeout as time_limit

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class CallOutcome(Generic[T_co]):
    """What came of one call: its place among the calls, its value or its error, and the seconds that it took.

    >>> CallOutcome(0, "value", None, 0.1).ok
    True
    """

    index: int
    value: T_co | None
    error: BaseException | None
    seconds: float

    @property
    def ok(self) -> bool:
        return self.error is None

    def result(self) -> T_co:
        """The value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


Progress = Callable[[int, CallOutcome[object]], object]


class ConcurrencyManager:
    """Makes many calls, at most so many at the same time; several callers share the bound.

    max_concurrency:       calls at the same time, at least 1.
    queue_size:            calls that may wait for their turn, at least 0, without bound by default. The calls of a
                           batch come at once, and those for which there is no place have BulkheadFull as their error.
    timeout:               seconds for each call once it runs, more than 0; None for no limit.
    batch_size:            calls that come at once, at least 1: a batch begins when the one before has ended.
    delay_between_batches: seconds, at least 0.

    >>> manager = ConcurrencyManager(5, timeout=10.0)
    >>> async def double(number):
    ...     return 2 * number
    >>> [outcome.result() for outcome in asyncio.run(manager.map(double, [1, 2, 3]))]
    [2, 4, 6]
    """

    def __init__(
        self,
        max_concurrency: int = 10,
        *,
        queue_size: float = math.inf,
        timeout: float | None = None,
        batch_size: int | None = None,
        delay_between_batches: float = 0.0,
        clock: Clock = system_clock,
    ) -> None:
        require(max_concurrency >= 1, "max_concurrency", "at least 1", max_concurrency)
        require(queue_size >= 0, "queue_size", "at least 0", queue_size)
        require(timeout is None or timeout > 0, "timeout", "more than 0", timeout)
        require(batch_size is None or batch_size >= 1, "batch_size", "at least 1", batch_size)
        require(delay_between_batches >= 0, "delay_between_batches", "at least 0", delay_between_batches)
        self.max_concurrency = max_concurrency
        self._timeout = timeout
        self._batch_size = batch_size
        self._delay = delay_between_batches
        self._clock = clock
        self._bulkhead = Bulkhead(max_concurrency, name="concurrency", queue=queue_size, clock=clock)

    async def run(
        self, calls: Iterable[Callable[[], Awaitable[T]]], *, progress: Progress | None = None
    ) -> list[CallOutcome[T]]:
        """Await all calls; what came of each, in their order. No error of theirs is raised.

        progress: called after each with how many have ended by now, and its outcome; what it raises comes out.
        When the caller is cancelled or `progress` fails, so are the calls, and they are awaited.
        """
        outcomes = list[CallOutcome[T]]()
        for number, batch in enumerate(self._batches(calls)):
            if number and self._delay:
                await self._clock.sleep(self._delay)
            outcomes += await self._batch(batch, len(outcomes), progress)
        return outcomes

    async def map(
        self, fn: Callable[[Item], Awaitable[T]], items: Iterable[Item], *, progress: Progress | None = None
    ) -> list[CallOutcome[T]]:
        """Await `fn` of each item, as `run` does."""
        return await self.run((partial(fn, item) for item in items), progress=progress)

    def run_blocking(
        self, calls: Iterable[Callable[[], T]], *, progress: Progress | None = None
    ) -> list[CallOutcome[T]]:
        """The same for sync calls, in threads. A thread cannot be stopped: `timeout` is the deadline of its calls.

        `queue_size` counts only where several callers share the manager: each makes no more threads than may run.

        >>> ConcurrencyManager(2).run_blocking([lambda: 1, lambda: 2])[1].value
        2
        """
        outcomes = list[CallOutcome[T]]()
        pool = ThreadPoolExecutor(self.max_concurrency, "holdfast-concurrency")
        try:
            for number, batch in enumerate(self._batches(calls)):
                if number and self._delay:
                    self._clock.pause(self._delay)
                outcomes += self._batch_in(pool, batch, len(outcomes), progress)
        finally:
            pool.shutdown(cancel_futures=True)
        return outcomes

    def _batches(self, calls: Iterable[Callable[[], T]]) -> Iterator[list[Callable[[], T]]]:
        left = iter(calls)
        while batch := list(islice(left, self._batch_size)):
            yield batch

    async def _batch(
        self, batch: list[Callable[[], Awaitable[T]]], first: int, progress: Progress | None
    ) -> list[CallOutcome[T]]:
        tasks = [asyncio.ensure_future(self._one(first + place, call)) for place, call in enumerate(batch)]
        try:
            for ended, soonest in enumerate(asyncio.as_completed(tasks), first + 1):
                outcome = await soonest
                if progress is not None:
                    progress(ended, outcome)
        except BaseException:
            await stop(tasks)
            raise
        return [task.result() for task in tasks]

    def _batch_in(
        self, pool: ThreadPoolExecutor, batch: list[Callable[[], T]], first: int, progress: Progress | None
    ) -> list[CallOutcome[T]]:
        started = [
            pool.submit(copy_context().run, self._blocking, first + place, call) for place, call in enumerate(batch)
        ]
        if progress is not None:
            for ended, future in enumerate(as_completed(started), first + 1):
                progress(ended, future.result())
        return [future.result() for future in started]

    async def _one(self, index: int, call: Callable[[], Awaitable[T]]) -> CallOutcome[T]:
        began = self._clock.monotonic()
        try:
            async with self._bulkhead:
                began = self._clock.monotonic()
                value = await (call() if self._timeout is None else self._in_time(call, self._timeout))
        except Exception as error:  # noqa: BLE001 - it is what came of it
            return CallOutcome(index, None, error, self._clock.monotonic() - began)
        except asyncio.CancelledError as error:
            if cancelled_by_caller():
                raise
            return CallOutcome(index, None, error, self._clock.monotonic() - began)
        return CallOutcome(index, value, None, self._clock.monotonic() - began)

    async def _in_time(self, call: Callable[[], Awaitable[T]], seconds: float) -> T:
        async with time_limit(seconds, clock=self._clock):
            return await call()

    def _blocking(self, index: int, call: Callable[[], T]) -> CallOutcome[T]:
        began = self._clock.monotonic()
        try:
            with self._bulkhead, deadline(self._timeout or math.inf, clock=self._clock):
                began = self._clock.monotonic()
                value = call()
        except Exception as error:  # noqa: BLE001 - it is what came of it
            return CallOutcome(index, None, error, self._clock.monotonic() - began)
        return CallOutcome(index, value, None, self._clock.monotonic() - began)
