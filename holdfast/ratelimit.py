"""Rate limiting by the generic cell rate algorithm (GCRA).

The state of a limiter is one number: the theoretical arrival time (TAT), when the calls
admitted so far would all have fallen due had they come evenly. A decision is one comparison,
whatever the rate, and there is no timer to refill anything.

Source: ITU-T Recommendation I.371, annex A (2004).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .checks import require
from .clock import Clock, system_clock
from .deadline import remaining
from .errors import RateLimited
from .events import Event, Listener, emit
from .policy import FunctionGuard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")

# Sums of floats may miss the boundary by an ulp; a call that close to it is on time.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` calls per `period`, up to `burst` of them at once.

    limit:  calls, more than 0.
    period: seconds, more than 0.
    burst:  calls, at least 1.

    `interval` is the seconds between two calls at the even rate.

    >>> Rate(100, period=60).interval
    0.6
    """

    limit: float
    period: float = 1.0
    burst: int = 1

    interval: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require(self.limit > 0, "limit", "more than 0", self.limit)
        require(self.period > 0, "period", "more than 0", self.period)
        require(self.burst >= 1, "burst", "at least 1", self.burst)
        object.__setattr__(self, "interval", self.period / self.limit)


def admit(tat: float, now: float, rate: Rate, cost: int = 1) -> tuple[float, float]:
    """Place a call of `cost` after `tat`; return its own TAT and the seconds to wait until it conforms.

    >>> admit(0.0, 100.0, Rate(1)), admit(101.0, 100.0, Rate(1))
    ((101.0, 0.0), (102.0, 1.0))
    """
    interval = rate.interval
    arrival = (max(now, tat)) + cost * interval
    wait = arrival - rate.burst * interval - now
    return arrival, (wait if wait > _ROUNDING else 0.0)


class RateLimiter(FunctionGuard):
    """A limiter for one process, shared freely by its threads and event loops.

    max_wait: seconds that a guarded call waits for its turn before it is refused, at least 0.
    listener: told `rate_limit.rejected` (retry_after).

    A wait that would last beyond the enclosing deadline is not begun: the call is refused at once.

    >>> limiter = RateLimiter(Rate(100, period=60, burst=10))
    >>> limiter.check()  # or wait; or as a decorator; or call and acall
    """

    def __init__(
        self,
        rate: Rate,
        *,
        name: str = "rate_limit",
        max_wait: float = 0.0,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        require(max_wait >= 0, "max_wait", "at least 0", max_wait)
        self.name = name
        self.rate = rate
        self.max_wait = max_wait
        self._clock = clock
        self._now = clock.monotonic
        self._listener = listener
        self._lock = threading.Lock()
        self._tat = clock.monotonic()

    def check(self, cost: int = 1) -> None:
        """Admit a call now or raise RateLimited; a refused call spends nothing."""
        self._reserve(cost, max_wait=0.0)

    async def wait(self, cost: int = 1, *, max_wait: float = float("inf")) -> None:
        """Return when the call may go; raise RateLimited at once if that is over `max_wait` seconds away.

        Callers are admitted in the order in which they came. A cancelled caller gives its place back.
        """
        delay = self._reserve(cost, max_wait)
        if delay:
            await self._sit_out(delay, cost)

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            delay = self._reserve(1, self.max_wait)
            if delay:
                self._clock.pause(delay)
            return fn(*args, **kwargs)

        return guarded

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            delay = self._reserve(1, self.max_wait)
            if delay:
                await self._sit_out(delay, 1)
            return await fn(*args, **kwargs)

        return guarded

    async def _sit_out(self, delay: float, cost: int) -> None:
        try:
            await self._clock.sleep(delay)
        except BaseException:
            self._give_back(cost)
            raise

    def _reserve(self, cost: int, max_wait: float) -> float:
        if cost != 1 and not 1 <= cost <= self.rate.burst:
            raise ValueError(f"cost must be between 1 and the burst of {self.rate.burst}, got {cost}")
        now = self._now()
        with self._lock:
            if self._tat <= now:
                # Nothing is owed, and a whole burst would pass.
                self._tat = now + cost * self.rate.interval
                return 0.0
            tat, delay = admit(self._tat, now, self.rate, cost)
            if not delay or (delay <= max_wait and delay < remaining(self._clock)):
                self._tat = tat
                return delay
        if self._listener is not None:
            emit(self._listener, Event("rate_limit.rejected", self.name, {"retry_after": delay}))
        raise RateLimited("rate limit reached", retry_after=delay)

    def _give_back(self, cost: int) -> None:
        with self._lock:
            self._tat -= cost * self.rate.interval
