"""How long a call may take.

`timeout` cancels what runs late and waits for it to end; `abandon_after` does not wait. Either sets the
deadline (`remaining`) of all that is called within.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from .abandon import abandon_after, abandon_thread_after
from .checks import require
from .clock import Clock, Timer, system_clock
from .deadline import Deadline, bounded, current, deadline, remaining
from .errors import TimedOut
from .events import Event, Listener, emit
from .policy import FunctionGuard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = ["Timeout", "abandon_after", "abandon_thread_after", "deadline", "remaining", "timeout"]

P = ParamSpec("P")
T = TypeVar("T")


class timeout:  # noqa: N801 - it reads as a word: `async with timeout(2.0):`
    """Cancel the block after `seconds`, or at the enclosing deadline if that is sooner, and raise TimedOut.

    It waits for the block to end: one that is slow to clean up takes longer.
    Raises TimedOut on entry, and does not run the block, when no time is left.

    >>> async def fetch():
    ...     async with timeout(2.0):
    ...         return await asyncio.sleep(0, "in time")
    >>> asyncio.run(fetch())
    'in time'
    """

    __slots__ = ("_cancelling", "_clock", "_expired", "_seconds", "_task", "_timer", "_token")

    def __init__(self, seconds: float, *, clock: Clock = system_clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._expired = False
        self._timer: Timer | None = None

    async def __aenter__(self) -> Self:
        self.enter()
        return self

    async def __aexit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self.leave(error)

    def enter(self) -> float:
        """Begin, and return when the time is up, by the monotonic clock. For the policy below."""
        self._task = task = _current_task()
        outer = current.get()
        when, left = bounded(self._seconds, outer, self._clock)
        # An outer deadline that comes first and cancels this very task needs no help.
        if outer is None or outer.when > when or outer.task is not task:
            self._timer = self._clock.call_later(left, self._expire)
        self._cancelling = task.cancelling()
        self._token = current.set(Deadline(when, task))
        return when

    def leave(self, error: BaseException | None) -> None:
        """End, and raise TimedOut if the time was up."""
        current.reset(self._token)
        if self._timer is not None:
            self._timer.cancel()
        # A cancellation that somebody else has asked for as well is theirs, and goes on.
        if self._expired and self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            raise TimedOut(f"not done in {self._seconds:.3g} s") from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()


class Timeout(FunctionGuard):
    """A policy of `seconds` for each call.

    seconds:  more than 0.
    abandon:  do not wait for a late call to end (see `abandon_after`, and `abandon_thread_after` for sync calls).
    listener: told `timeout.expired` (seconds) when a call ran out of this time, or of the enclosing deadline.

    A sync call cannot be stopped from outside. Without `abandon`, the deadline is there for the calls within it
    (`remaining`), and a call is refused with TimedOut when no time is left to begin.

    >>> 0.0 < Timeout(60.0).call(remaining) <= 60.0  # or as a decorator; or acall
    True
    """

    def __init__(
        self,
        seconds: float,
        *,
        name: str = "timeout",
        abandon: bool = False,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        require(seconds > 0, "seconds", "more than 0", seconds)
        self.name = name
        self.seconds = seconds
        self.abandons = abandon
        self._clock = clock
        self._listener = listener

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        def bound(*args, **kwargs):  # type: ignore[no-untyped-def]
            when, _ = bounded(self.seconds, current.get(), self._clock)
            token = current.set(Deadline(when))
            try:
                return fn(*args, **kwargs)
            except TimedOut:
                self._tell(when)
                raise
            finally:
                current.reset(token)

        def abandoned(*args, **kwargs):  # type: ignore[no-untyped-def]
            when, left = bounded(self.seconds, current.get(), self._clock)
            try:
                return abandon_thread_after(left, lambda: fn(*args, **kwargs), clock=self._clock)
            except TimedOut:
                self._tell(when)
                raise

        return abandoned if self.abandons else bound

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def cancelled(*args, **kwargs):  # type: ignore[no-untyped-def]
            block = timeout(self.seconds, clock=self._clock)
            when = block.enter()
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it is raised again, or TimedOut from it
                try:
                    block.leave(error)
                    raise
                except TimedOut:
                    self._tell(when)
                    raise
            block.leave(None)
            return result

        async def abandoned(*args, **kwargs):  # type: ignore[no-untyped-def]
            when, _ = bounded(self.seconds, current.get(), self._clock)
            try:
                return await abandon_after(self.seconds, fn(*args, **kwargs), clock=self._clock)
            except TimedOut:
                self._tell(when)
                raise

        return abandoned if self.abandons else cancelled

    def _tell(self, when: float) -> None:
        """Tell the listener, if it was this time that ran out: a timeout of a call within is told by that one."""
        if self._listener is not None and self._clock.monotonic() >= when:
            emit(self._listener, Event("timeout.expired", self.name, {"seconds": self.seconds}))


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a timeout needs a task to cancel")
    return task
