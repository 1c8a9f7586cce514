"""Deadlines: how long a call may take, and how long is left for the calls within it.

The deadline is a context variable, so it reaches nested calls and the tasks they start, and none of
them outlives the outermost one. `timeout` cancels what runs late and waits for it to end.
`abandon_after` does not wait: use it where cleaning up after a cancellation may itself hang, as a
database driver's does that asks a frozen server to cancel its query.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from .clock import Clock, Timer, system_clock
from .errors import Abandoned, TimedOut
from .policy import decorate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)

# An event loop holds its tasks weakly: somebody has to keep the abandoned ones until they end.
_abandoned: set[asyncio.Task[Any]] = set()


class _Deadline:
    """A point on the monotonic clock, and the task that is cancelled when it comes, if any is."""

    __slots__ = ("task", "when")

    def __init__(self, when: float, task: asyncio.Task[Any] | None = None) -> None:
        self.when = when
        self.task = task


_deadline: ContextVar[_Deadline | None] = ContextVar("holdfast.deadline", default=None)


def remaining(clock: Clock = system_clock) -> float:
    """Seconds until the enclosing deadline, never less than 0; infinity without one."""
    deadline = _deadline.get()
    return math.inf if deadline is None else max(0.0, deadline.when - clock.monotonic())


class timeout:  # noqa: N801 - it reads as a word: `async with timeout(2.0):`
    """Cancel the block after `seconds`, or at the enclosing deadline if that is sooner, and raise TimedOut.

    It waits for the block to end: one that is slow to clean up takes longer.
    Raises TimedOut on entry, and does not run the block, when no time is left.
    """

    __slots__ = ("_cancelling", "_clock", "_expired", "_seconds", "_task", "_timer", "_token")

    def __init__(self, seconds: float, *, clock: Clock = system_clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._expired = False
        self._timer: Timer | None = None

    async def __aenter__(self) -> Self:
        self._task = task = _current_task()
        outer = _deadline.get()
        when, left = _bounded(self._seconds, outer, self._clock)
        # An outer deadline that comes first and cancels this very task needs no help.
        if outer is None or outer.when > when or outer.task is not task:
            self._timer = self._clock.call_later(left, self._expire)
        self._cancelling = task.cancelling()
        self._token = _deadline.set(_Deadline(when, task))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _tb: object) -> None:
        _deadline.reset(self._token)
        if self._timer is not None:
            self._timer.cancel()
        # A cancellation that somebody else has asked for as well is theirs, and goes on.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimedOut(f"not done in {self._seconds:.3g} s") from error

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()


async def abandon_after(seconds: float, awaitable: Awaitable[T], *, clock: Clock = system_clock) -> T:
    """Await it for at most `seconds`, or until the enclosing deadline, then leave it behind and raise Abandoned.

    It runs as a task of its own. When time is up, or the caller is cancelled, that task is cancelled but
    nobody waits for its end, however long it takes; what it still returns or raises is only logged.
    Raises TimedOut, and does not begin, when no time is left.
    """
    try:
        when, left = _bounded(seconds, _deadline.get(), clock)
    except TimedOut:
        _let_go(awaitable)
        raise
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    deadline = _Deadline(when)
    context = copy_context()
    context.run(_deadline.set, deadline)
    deadline.task = task = loop.create_task(_tell_end(awaitable, ended), context=context)
    timer = clock.call_later(left, partial(_tell, ended))
    try:
        await ended
    except BaseException:
        _abandon(task, awaitable)
        raise
    finally:
        timer.cancel()
    if task.done():
        return task.result()
    _abandon(task, awaitable)
    raise Abandoned(f"not done in {seconds:.3g} s")


class Timeout:
    """A policy of `seconds` for each call.

    abandon: do not wait for a late call to end (see `abandon_after`); async calls only.

    A sync call cannot be stopped from outside: the deadline is there for the calls within it
    (`remaining`), and a call is refused with TimedOut when no time is left to begin.
    """

    def __init__(self, seconds: float, *, abandon: bool = False, clock: Clock = system_clock) -> None:
        if not seconds > 0:
            raise ValueError(f"seconds must be more than 0, got {seconds}")
        self.seconds = seconds
        self._abandon = abandon
        self._clock = clock

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Guard a function, as a decorator; sync or async as the function is."""
        return decorate(fn, self._guard, self._guard_async)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` with the deadline set, or raise TimedOut if there is no time left."""
        return self._guard(fn)(*args, **kwargs)

    def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Await `fn` for as long as it may take."""
        return self._guard_async(fn)(*args, **kwargs)

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            when, _ = _bounded(self.seconds, _deadline.get(), self._clock)
            token = _deadline.set(_Deadline(when))
            try:
                return fn(*args, **kwargs)
            finally:
                _deadline.reset(token)

        return guarded

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def cancelled(*args, **kwargs):  # type: ignore[no-untyped-def]
            async with timeout(self.seconds, clock=self._clock):
                return await fn(*args, **kwargs)

        async def abandoned(*args, **kwargs):  # type: ignore[no-untyped-def]
            return await abandon_after(self.seconds, fn(*args, **kwargs), clock=self._clock)

        return abandoned if self._abandon else cancelled


def _bounded(seconds: float, outer: _Deadline | None, clock: Clock) -> tuple[float, float]:
    """When a deadline of `seconds` from now comes within the outer one, and how far off that is."""
    now = clock.monotonic()
    when = now + seconds
    if outer is not None and outer.when < when:
        when = outer.when
    if when <= now:
        raise TimedOut("no time left to begin")
    return when, when - now


def _current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a timeout needs a task to cancel")
    return task


async def _tell_end(awaitable: Awaitable[T], ended: asyncio.Future[None]) -> T:
    try:
        return await awaitable
    finally:
        _tell(ended)


def _tell(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _abandon(task: asyncio.Task[Any], awaitable: Awaitable[Any]) -> None:
    if task.done():
        # A loop that shuts down cancels every task, and this one had perhaps not begun.
        _let_go(awaitable)
    task.cancel()
    _abandoned.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        _log.debug("an abandoned call ended after all: %r", task.exception() or "it succeeded")


def _let_go(awaitable: Awaitable[Any]) -> None:
    """Of what was perhaps never begun, without a warning that it was never awaited."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()
    elif isinstance(awaitable, asyncio.Future):
        awaitable.cancel()
