"""Waiting for an end that must have come, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def join(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Return when all have ended; a cancellation of the caller is raised only then."""
    futures = set(futures)
    cancelled: asyncio.CancelledError | None = None
    while pending := {future for future in futures if not future.done()}:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel what still runs and return when all of it has ended."""
    tasks = set(tasks)
    for task in tasks:
        task.cancel()
    await join(tasks)


def cancelled_by_caller() -> bool:
    """Whether a CancelledError comes from outside of this task, and not from something that it awaited."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def in_thread(fn: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """A blocking function as an async one that runs it in a thread.

    A thread cannot be stopped: a cancelled call waits for it to end, so that nothing goes on behind the caller's back.

    >>> import asyncio
    >>> asyncio.run(in_thread(len)("four"))
    4
    """

    @wraps(fn)
    async def run(*args: P.args, **kwargs: P.kwargs) -> T:
        work = partial(copy_context().run, fn, *args, **kwargs)
        future = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            await join([future])
        except asyncio.CancelledError:
            # Its end is nobody's news any more, and must not be logged as an error that nobody looked at.
            future.exception()
            raise
        return future.result()

    return run
