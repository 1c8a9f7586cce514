"""How long is left: the deadline of the call that one is in.

It is a context variable, so it reaches nested calls and the tasks they start, and none of them outlives
the outermost one.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .clock import Clock, system_clock
from .errors import TimedOut

if TYPE_CHECKING:
    from collections.abc import Iterator


class Deadline:
    """A point on the monotonic clock, and the task that is cancelled when it comes, if any is."""

    __slots__ = ("task", "when")

    def __init__(self, when: float, task: asyncio.Task[Any] | None = None) -> None:
        self.when = when
        self.task = task


current: ContextVar[Deadline | None] = ContextVar("holdfast.deadline", default=None)


def remaining(clock: Clock = system_clock) -> float:
    """Seconds until the enclosing deadline, never less than 0; infinity without one.

    >>> remaining()
    inf
    """
    enclosing = current.get()
    return math.inf if enclosing is None else max(0.0, enclosing.when - clock.monotonic())


def remaining_unless_cancelled(clock: Clock) -> float:
    """Seconds for which the current task may wait by itself; infinity if the enclosing deadline will cancel the task.

    In that case whoever set the deadline ends the wait.
    """
    enclosing = current.get()
    cancels_us = enclosing is not None and enclosing.task is asyncio.current_task()
    return math.inf if cancels_us else remaining(clock)


@contextmanager
def deadline(seconds: float, *, clock: Clock = system_clock) -> Iterator[None]:
    """Have all calls of the block end within `seconds`, or by the enclosing deadline if that is sooner.

    It interrupts nothing: what runs inside asks how long is `remaining`, and the policies of this library do.
    Raises TimedOut on entry when no time is left.

    >>> with deadline(60.0):
    ...     0.0 < remaining() <= 60.0
    True
    """
    when, _ = bounded(seconds, current.get(), clock)
    token = current.set(Deadline(when))
    try:
        yield
    finally:
        current.reset(token)


def bounded(seconds: float, outer: Deadline | None, clock: Clock) -> tuple[float, float]:
    """When a deadline of `seconds` from now is over, the outer one included, and the seconds until then.

    The first is a time of the monotonic clock. Raises TimedOut when no time is left.
    """
    now = clock.monotonic()
    when = now + seconds
    if outer is not None and outer.when < when:
        when = outer.when
    if not when > now:
        raise TimedOut("no time left to begin")
    return when, when - now
