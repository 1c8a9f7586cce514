"""Try again what may succeed later, a bounded number of times, with growing and jittered waits between."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, cast

from .backoff import Backoff
from .checks import require
from .clock import Clock, system_clock
from .deadline import remaining
from .errors import HoldfastError, Transient
from .events import Event, Listener, emit
from .policy import ErrorMatch, FunctionGuard, matcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from .budget import RetryBudget

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_log = logging.getLogger(__name__)


def transient(error: Exception) -> bool:
    """The default for what to retry: Transient, and nothing else.

    >>> transient(Transient()), transient(KeyError())
    (True, False)
    """
    return isinstance(error, Transient)


def asked_wait(error: Exception) -> float | None:
    """The default for how long an error asks to wait: the `retry_after` of our own errors, such as Throttled.

    >>> from holdfast.errors import Throttled
    >>> asked_wait(Throttled(retry_after=7.0))
    7.0
    """
    return getattr(error, "retry_after", None) if isinstance(error, HoldfastError) else None


@dataclass(frozen=True, slots=True)
class RetryResult(Generic[T_co]):
    """What came of a call, how many attempts it took, and the seconds waited between them."""

    value: T_co
    attempts: int
    total_delay: float


class Retry(FunctionGuard):
    """Calls up to `attempts` times, and raises the last error as it is when that was not enough.

    attempts:     calls in all, at least 1.
    backoff:      the waits between them.
    retry_on:     which errors are worth another attempt: classes, or a predicate. Only what is safe to repeat
                  should be retried at all.
    retry_result: which results are worth another attempt; the last one is returned as it is.
    wait_from:    seconds for which an error asks to wait, or None; the wait is that or the backoff's, the longer.
    max_wait:     seconds, at least 0: an error that asks to wait longer is final, a shorter one is waited for.
    clamp:        wait for `max_wait` instead when an error asks for longer.
    budget:       bounds the retries of all who share it.
    listener:     told `retry.scheduled` (attempt, error.type, delay) and `retry.gave_up` (attempt, error.type,
                  reason: `final`, not worth another attempt; `attempts`, `wait`, `deadline` or `budget`).

    A wait that would last beyond the enclosing deadline is not begun: the error is raised at once.
    Cancellation is never retried. A predicate that fails itself is logged, and the error or the result is final.

    >>> retry = Retry(3, retry_on=(ConnectionError, TimeoutError))
    >>> retry.call(divmod, 7, 2)  # or as a decorator; or acall; or, for blocks, as an iterator:
    (3, 1)
    >>> for attempt in retry:  # or `async for`
    ...     with attempt:
    ...         attempt.number
    1
    """

    def __init__(
        self,
        attempts: int = 3,
        backoff: Backoff | None = None,
        *,
        name: str = "retry",
        retry_on: ErrorMatch = transient,
        retry_result: Callable[[Any], bool] | None = None,
        wait_from: Callable[[Exception], float | None] = asked_wait,
        max_wait: float = 30.0,
        clamp: bool = False,
        budget: RetryBudget | None = None,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        require(attempts >= 1, "attempts", "at least 1", attempts)
        require(max_wait >= 0, "max_wait", "at least 0", max_wait)
        self.name = name
        self.attempts = attempts
        self.backoff = backoff or Backoff()
        self.budget = budget
        self._retry_on = matcher(retry_on)
        self._retry_result = retry_result
        self._wait_from = wait_from
        self._max_wait = max_wait
        self._clamp = clamp
        self._clock = clock
        self._listener = listener

    def retries(self, error: Exception) -> bool:
        """Whether an error is worth another attempt, while there is one."""
        return self._retry_on(error)

    def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> RetryResult[T]:
        """As `call`, and tell how many attempts it took.

        >>> Retry().run(abs, -1)
        RetryResult(value=1, attempts=1, total_delay=0.0)
        """
        return cast("RetryResult[T]", self._guard(fn, report=True)(*args, **kwargs))

    async def arun(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> RetryResult[T]:
        """As `acall`, and tell how many attempts it took."""
        return cast("RetryResult[T]", await self._guard_async(fn, report=True)(*args, **kwargs))

    def __iter__(self) -> Attempts:
        """The attempts of a block: `for attempt in retry: with attempt: …`. Results are not looked at."""
        if self.budget is not None:
            self.budget.deposit()
        return Attempts(self._delay, self._clock)

    __aiter__ = __iter__

    def _guard(self, fn: Callable[P, T], *, report: bool = False) -> Callable[P, T]:
        again, budget = self._retry_result, self.budget

        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            attempt, waited = 1, 0.0
            if budget is not None:
                budget.deposit()
            while True:
                try:
                    result = fn(*args, **kwargs)
                except Exception as error:
                    delay = self._delay(attempt, error)
                    if delay is None:
                        raise
                else:
                    if again is None or (delay := self._delay_after(attempt, result)) is None:
                        return RetryResult(result, attempt, waited) if report else result
                self._clock.pause(delay)
                attempt, waited = attempt + 1, waited + delay

        return guarded

    def _guard_async(
        self, fn: Callable[P, Awaitable[T]], *, report: bool = False
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        again, budget = self._retry_result, self.budget

        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            attempt, waited = 1, 0.0
            if budget is not None:
                budget.deposit()
            while True:
                try:
                    result = await fn(*args, **kwargs)
                except Exception as error:
                    delay = self._delay(attempt, error)
                    if delay is None:
                        raise
                else:
                    if again is None or (delay := self._delay_after(attempt, result)) is None:
                        return RetryResult(result, attempt, waited) if report else result
                await self._clock.sleep(delay)
                attempt, waited = attempt + 1, waited + delay

        return guarded

    def _delay(self, attempt: int, error: Exception) -> float | None:
        """Seconds to wait before the next attempt, or None if there is to be none."""
        what = {"error.type": type(error).__qualname__}
        if self._retry_on(error):
            return self._schedule(attempt, self._asked(error), what)
        if attempt > 1:
            self._give_up(attempt, "final", what)
        return None

    def _asked(self, error: Exception) -> float:
        try:
            asked = self._wait_from(error)
        except Exception:  # noqa: BLE001 - it is somebody else's code
            _log.exception("wait_from of retry %r failed", self.name)
            return math.inf
        return asked if asked is not None and asked > 0 else 0.0

    def _delay_after(self, attempt: int, result: object) -> float | None:
        """Seconds to wait before the next attempt because of this result, or None if it is good or final."""
        try:
            good = self._retry_result is None or not self._retry_result(result)
        except Exception:  # noqa: BLE001 - a predicate is somebody else's code
            _log.exception("a predicate of retry %r failed", self.name)
            good = True
        return None if good else self._schedule(attempt, 0.0, {})

    def _schedule(self, attempt: int, asked: float, what: dict[str, Any]) -> float | None:
        delay, reason = self._plan(attempt, asked)
        if reason:
            self._give_up(attempt, reason, what)
            return None
        self._tell("retry.scheduled", {"attempt": attempt, **what, "delay": delay})
        return delay

    def _plan(self, attempt: int, asked: float) -> tuple[float, str]:
        """The wait, and why there is to be none if that is so."""
        if attempt >= self.attempts:
            return 0.0, "attempts"
        if asked > self._max_wait and not self._clamp:
            return 0.0, "wait"
        delay = max(self.backoff.delay(attempt), min(asked, self._max_wait))
        if delay >= remaining(self._clock):
            return 0.0, "deadline"
        if self.budget is not None and not self.budget.withdraw():
            return 0.0, "budget"
        return delay, ""

    def _give_up(self, attempt: int, reason: str, what: dict[str, Any]) -> None:
        self._tell("retry.gave_up", {"attempt": attempt, **what, "reason": reason})

    def _tell(self, name: str, attributes: dict[str, Any]) -> None:
        if self._listener is not None:
            emit(self._listener, Event(name, self.name, attributes))


class Attempt:
    """One try of a block: what it raises is swallowed if there is to be another. `number` counts from 1."""

    __slots__ = ("_judge", "delay", "number")

    def __init__(self, number: int, judge: Callable[[int, Exception], float | None]) -> None:
        self.number = number
        self.delay: float | None = None
        self._judge = judge

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> bool:
        if isinstance(error, Exception):
            self.delay = self._judge(self.number, error)
        return self.delay is not None


class Attempts:
    """The tries of one block, for `for` and `async for`; waits between them."""

    def __init__(self, judge: Callable[[int, Exception], float | None], clock: Clock) -> None:
        self._judge = judge
        self._clock = clock
        self._last: Attempt | None = None

    def __iter__(self) -> Attempts:
        return self

    def __next__(self) -> Attempt:
        if self._last is not None:
            if self._last.delay is None:
                raise StopIteration
            self._clock.pause(self._last.delay)
        return self._next()

    def __aiter__(self) -> Attempts:
        return self

    async def __anext__(self) -> Attempt:
        if self._last is not None:
            if self._last.delay is None:
                raise StopAsyncIteration
            await self._clock.sleep(self._last.delay)
        return self._next()

    def _next(self) -> Attempt:
        self._last = Attempt(self._last.number + 1 if self._last else 1, self._judge)
        return self._last
