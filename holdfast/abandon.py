"""Leave a call behind when its time is up, instead of waiting for it to end.

For calls whose cleaning up may itself hang, as a database driver's does that asks a frozen server to cancel
its query; and for blocking ones, which nobody can stop.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from concurrent.futures import Future, wait
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .clock import Clock, system_clock
from .deadline import Deadline, bounded, current
from .errors import Abandoned, TimedOut

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

_log = logging.getLogger(__name__)

# An event loop holds its tasks weakly: somebody has to keep the abandoned ones until they end.
_abandoned: set[asyncio.Task[Any]] = set()


async def abandon_after(seconds: float, awaitable: Awaitable[T], *, clock: Clock = system_clock) -> T:
    """Await it for at most `seconds`, or until the enclosing deadline, then leave it behind and raise Abandoned.

    It runs as a task of its own. When time is up, or the caller is cancelled, that task is cancelled but
    nobody waits for its end, however long it takes; what it still returns or raises is only logged.
    Raises TimedOut, and does not begin, when no time is left.

    >>> asyncio.run(abandon_after(1.0, asyncio.sleep(0, "in time")))
    'in time'
    """
    try:
        when, left = bounded(seconds, current.get(), clock)
    except TimedOut:
        _let_go(awaitable)
        raise
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    deadline = Deadline(when)
    context = copy_context()
    context.run(current.set, deadline)
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


def abandon_thread_after(seconds: float, fn: Callable[[], T], *, clock: Clock = system_clock) -> T:
    """Call `fn` for at most `seconds`, or until the enclosing deadline, then leave it behind and raise Abandoned.

    It runs in a thread of its own, with the caller's context; the wait for it is on real time. A thread cannot be
    stopped: it runs on until it ends by itself or the process does, and what it still returns or raises is only
    logged. Raises TimedOut, and does not begin, when no time is left.

    >>> abandon_thread_after(5.0, lambda: "in time")
    'in time'
    """
    when, left = bounded(seconds, current.get(), clock)
    context = copy_context()
    context.run(current.set, Deadline(when))
    outcome = Future[T]()
    thread = threading.Thread(target=context.run, args=(_settle, outcome, fn), name="holdfast-abandonable", daemon=True)
    thread.start()
    wait([outcome], left)
    if outcome.done():
        return outcome.result()
    outcome.add_done_callback(_note)
    raise Abandoned(f"not done in {seconds:.3g} s")


def _settle(outcome: Future[T], fn: Callable[[], T]) -> None:
    try:
        outcome.set_result(fn())
    except BaseException as error:  # noqa: BLE001 - all of it is for the caller
        outcome.set_exception(error)


def _note(outcome: Future[Any]) -> None:
    _log.debug("an abandoned call ended after all: %r", outcome.exception() or "it succeeded")


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
    """Close what was perhaps never begun, so that Python does not warn that it was never awaited."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()
    elif isinstance(awaitable, asyncio.Future):
        awaitable.cancel()
