"""Try again what may succeed later, a bounded number of times, with growing and jittered waits between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .backoff import Backoff
from .clock import Clock, system_clock
from .errors import Rejected, Transient
from .events import Event, Listener, emit
from .policy import decorate
from .timeout import remaining

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")


def transient(error: Exception) -> bool:
    """The default for what to retry: Transient, and nothing else."""
    return isinstance(error, Transient)


class Retry:
    """Calls up to `attempts` times, and raises the last error as it is when that was not enough.

    attempts:  calls in all, at least 1.
    backoff:   the waits between them.
    retry_on:  which errors are worth another attempt. Only what is safe to repeat should be retried at all.
    max_wait:  seconds, at least 0: a Rejected that asks to wait longer is final, a shorter one is waited for.
    listener:  told `retry.scheduled` (attempt, error, delay) and `retry.gave_up` (attempt, error).

    A wait that would last beyond the enclosing deadline is not begun: the error is raised at once.
    Cancellation is never retried.
    """

    def __init__(
        self,
        attempts: int = 3,
        backoff: Backoff | None = None,
        *,
        name: str = "retry",
        retry_on: Callable[[Exception], bool] = transient,
        max_wait: float = 30.0,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        if attempts < 1:
            raise ValueError(f"attempts must be at least 1, got {attempts}")
        if not max_wait >= 0:
            raise ValueError(f"max_wait must be at least 0, got {max_wait}")
        self.name = name
        self.attempts = attempts
        self.backoff = backoff or Backoff()
        self._retry_on = retry_on
        self._max_wait = max_wait
        self._clock = clock
        self._listener = listener

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Guard a function, as a decorator; sync or async as the function is."""
        return decorate(fn, self._guard, self._guard_async)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn`; the waits block this thread."""
        return self._guard(fn)(*args, **kwargs)

    def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Await `fn`, which is called anew for each attempt."""
        return self._guard_async(fn)(*args, **kwargs)

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            attempt = 1
            while True:
                try:
                    return fn(*args, **kwargs)
                except Exception as error:
                    delay = self._delay(attempt, error)
                    if delay is None:
                        raise
                self._clock.pause(delay)
                attempt += 1

        return guarded

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            attempt = 1
            while True:
                try:
                    return await fn(*args, **kwargs)
                except Exception as error:
                    delay = self._delay(attempt, error)
                    if delay is None:
                        raise
                await self._clock.sleep(delay)
                attempt += 1

        return guarded

    def _delay(self, attempt: int, error: Exception) -> float | None:
        """Seconds to wait before the next attempt, or None if there is to be none."""
        if not self._retry_on(error):
            return None
        asked = error.retry_after if isinstance(error, Rejected) else 0.0
        delay = max(self.backoff.delay(attempt), asked)
        if attempt >= self.attempts or asked > self._max_wait or delay >= remaining(self._clock):
            self._tell("retry.gave_up", attempt, error)
            return None
        self._tell("retry.scheduled", attempt, error, delay=delay)
        return delay

    def _tell(self, what: str, attempt: int, error: Exception, **more: float) -> None:
        if self._listener is not None:
            emit(
                self._listener, Event(what, self.name, {"attempt": attempt, "error": type(error).__qualname__, **more})
            )
