"""A limit on concurrent calls that finds its own number.

More calls at the same time than the other side can work on only wait there: the time that calls take grows, and
their number per second does not. So a limit that is lowered when calls take longer than they should, and raised
otherwise, settles near what the other side can bear, also when that changes.

Sources: Netflix, concurrency-limits (2018), from where the gradient and the probe are; L. S. Brakmo and L. L.
Peterson, "TCP Vegas" (1995), for steering by latency before anything is lost; D.-M. Chiu and R. Jain (1989) for
additive increase, multiplicative decrease.
"""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar

from .checks import require
from .clock import Clock, system_clock
from .errors import BulkheadFull, Transient
from .events import Event, Listener, emit
from .policy import ErrorMatch, FunctionGuard, matcher
from .slots import Admission, Slots

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class Sample(NamedTuple):
    """One call: seconds that it took, calls in flight as it began, and whether it was lost to overload."""

    seconds: float
    in_flight: int
    dropped: bool = False


class LimitAlgorithm(Protocol):
    """Steers one limit; it may remember what it has seen."""

    def next(self, limit: float, sample: Sample) -> float:
        """The limit after this call."""


@dataclass(slots=True)
class Aimd:
    """Additive increase, multiplicative decrease: one more after a good call, a part less after a lost or slow one.

    slow:   seconds from which a call counts as lost, more than 0.
    shrink: what is left of the limit, between 0 and 1.

    >>> Aimd(shrink=0.5).next(10, Sample(0.1, in_flight=10)), Aimd(shrink=0.5).next(10, Sample(0.1, 10, dropped=True))
    (11, 5.0)
    """

    slow: float = math.inf
    shrink: float = 0.9

    def __post_init__(self) -> None:
        require(self.slow > 0, "slow", "more than 0", self.slow)
        require(0 < self.shrink < 1, "shrink", "between 0 and 1", self.shrink)

    def next(self, limit: float, sample: Sample) -> float:
        """The limit after this call."""
        if sample.dropped or sample.seconds >= self.slow:
            return limit * self.shrink
        # A limit that is not used says nothing about a higher one.
        return limit + 1 if sample.in_flight * 2 >= limit else limit


@dataclass(slots=True)
class Gradient:
    """Compares how long calls take with how long they take when the other side is at ease.

    The latter is learned from the quickest windows of calls so far; since it may have grown, it is measured anew now
    and then, by halving the limit for one window.

    tolerance:   calls may take so many times as long as at ease before the limit shrinks, more than 1 and less than 2.
    headroom:    calls more than the other side can work on at once that are let through, more than 0: without them the
                 limit would never grow.
    smoothing:   how much of the way to the new limit is gone after each window, more than 0 and at most 1.
    window:      calls, at least 1, whose median time is compared.
    probe_every: windows, at least 2, from one that is halved to the next.
    shrink:      what is left of the limit after a lost call, between 0 and 1.

    >>> Gradient(window=1).next(10, Sample(0.1, in_flight=10))
    12.0
    """

    tolerance: float = 1.5
    headroom: float = 4.0
    smoothing: float = 0.5
    window: int = 20
    probe_every: int = 50
    shrink: float = 0.9
    _times: list[float] = field(default_factory=list, init=False, repr=False)
    _busiest: int = field(default=0, init=False, repr=False)
    _windows: int = field(default=0, init=False, repr=False)
    _at_ease: float = field(default=0.0, init=False, repr=False)
    _before_probe: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        require(1 < self.tolerance < 2, "tolerance", "between 1 and 2", self.tolerance)
        require(self.headroom > 0, "headroom", "more than 0", self.headroom)
        require(0 < self.smoothing <= 1, "smoothing", "more than 0 and at most 1", self.smoothing)
        require(self.window >= 1, "window", "at least 1", self.window)
        require(self.probe_every >= 2, "probe_every", "at least 2", self.probe_every)
        require(0 < self.shrink < 1, "shrink", "between 0 and 1", self.shrink)

    def next(self, limit: float, sample: Sample) -> float:
        """The limit after this call."""
        if sample.dropped:
            self._before_probe *= self.shrink
            return limit * self.shrink
        if self._before_probe and sample.in_flight > limit:
            return limit  # it began before the probe
        self._times.append(sample.seconds)
        self._busiest = max(self._busiest, sample.in_flight)
        return limit if len(self._times) < self.window else self._judge(limit)

    def _judge(self, limit: float) -> float:
        """The limit after a whole window."""
        typical, busiest = median(self._times), self._busiest
        self._times.clear()
        self._busiest = 0
        if self._before_probe:
            self._at_ease += (typical - self._at_ease) / 2
            limit, self._before_probe = self._before_probe, 0.0
            return limit
        if not self._windows:
            self._at_ease = typical
        self._at_ease += min(0.0, typical - self._at_ease) / 4
        self._windows += 1
        if self._windows % self.probe_every == 0:
            self._before_probe = limit
            return limit / 2
        if busiest * 2 < limit or typical <= 0:
            return limit  # a limit that is not used says nothing about a higher one
        gradient = max(0.5, min(1.0, self.tolerance * self._at_ease / typical))
        return limit + self.smoothing * (limit * gradient + self.headroom - limit)


class AdaptiveLimit(FunctionGuard):
    """A bulkhead whose limit follows what the calls tell; BulkheadFull for those that neither run nor wait.

    algorithm:         `Gradient()` by default, or `Aimd(…)`; each limit needs its own.
    initial:           calls, between `smallest` and `largest`.
    smallest, largest: calls, at least 1: bounds of the limit.
    queue:             calls that may wait, at least 0. max_wait: seconds that a call waits at most, more than 0.
    retry_after:       seconds, told to those that are refused.
    overload:          errors that mean too much was asked: classes, or a predicate; Transient and TimeoutError by
                       default. Other errors say nothing, and neither does cancellation.
    listener:          told `adaptive_limit.changed` (from, to) and `adaptive_limit.rejected` (running, limit).

    Shared freely by threads and event loops. A sync call that waits blocks its thread, on real time.

    >>> limit = AdaptiveLimit(Aimd(slow=0.5), initial=10)
    >>> limit.call(divmod, 7, 2)  # or as a decorator; or acall
    (3, 1)
    """

    def __init__(
        self,
        algorithm: LimitAlgorithm | None = None,
        *,
        name: str = "adaptive_limit",
        initial: int = 20,
        smallest: int = 1,
        largest: int = 1000,
        queue: float = 0,
        max_wait: float = math.inf,
        retry_after: float = 1.0,
        overload: ErrorMatch = (Transient, TimeoutError),
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        require(smallest >= 1, "smallest", "at least 1", smallest)
        require(largest >= smallest, "largest", f"at least smallest, {smallest}", largest)
        require(smallest <= initial <= largest, "initial", f"from smallest, {smallest}, to largest, {largest}", initial)
        require(queue >= 0, "queue", "at least 0", queue)
        require(max_wait > 0, "max_wait", "more than 0", max_wait)
        require(retry_after >= 0, "retry_after", "at least 0", retry_after)
        self.name = name
        self.smallest = smallest
        self.largest = largest
        self.queue = queue
        self._max_wait = max_wait
        self._retry_after = retry_after
        self._algorithm = algorithm or Gradient()
        self._overload = matcher(overload)
        self._clock = clock
        self._listener = listener
        self._lock = threading.Lock()
        self._limit = float(initial)
        self._lowered = -math.inf
        self._slots = Slots(initial)

    @property
    def limit(self) -> int:
        """Calls at the same time, as of now."""
        return self._slots.limit

    @property
    def running(self) -> int:
        """Calls that hold a slot."""
        return self._slots.taken

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return self._slots.waiting

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        slots, now = self._slots, self._clock.monotonic

        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            if not slots.take():
                self._insist(slots.wait(self.queue, self._max_wait, self._clock))
            began, in_flight = now(), slots.taken
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                self._end(began, in_flight, error)
                raise
            self._end(began, in_flight)
            return result

        return guarded

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        slots, now = self._slots, self._clock.monotonic

        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            if not slots.take():
                self._insist(await slots.join(self.queue, self._max_wait, self._clock))
            began, in_flight = now(), slots.taken
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                self._end(began, in_flight, error)
                raise
            self._end(began, in_flight)
            return result

        return guarded

    def _end(self, began: float, in_flight: int, error: BaseException | None = None) -> None:
        """Give the slot back, and learn from the call; cancellation says nothing."""
        try:
            if error is None or (isinstance(error, Exception) and self._overload(error)):
                self._adjust(began, in_flight, dropped=error is not None)
        except Exception:  # noqa: BLE001 - an algorithm is somebody else's code, and may fail without harm
            _log.exception("the algorithm of limit %r failed", self.name)
        finally:
            self._slots.leave()

    def _adjust(self, began: float, in_flight: int, *, dropped: bool) -> None:
        now = self._clock.monotonic()
        with self._lock:
            if dropped:
                # Calls that were lost together are one piece of news.
                if began < self._lowered:
                    return
                self._lowered = now
            before = self._slots.limit
            limit = self._algorithm.next(self._limit, Sample(now - began, in_flight, dropped))
            self._limit = max(self.smallest, min(self.largest, limit))
            after = int(self._limit)
            if after != before:
                self._slots.limit = after
        if after != before and self._listener is not None:
            emit(self._listener, Event("adaptive_limit.changed", self.name, {"from": before, "to": after}))

    def _insist(self, admission: Admission) -> None:
        """Go on with a slot, or raise BulkheadFull."""
        if admission == "granted":
            return
        if self._listener is not None:
            counts = {"running": self.running, "limit": self.limit}
            emit(self._listener, Event("adaptive_limit.rejected", self.name, counts))
        why = "is full" if admission == "full" else "had no slot in time"
        raise BulkheadFull(f"adaptive limit {self.name!r} {why}", self._retry_after)
