"""Blocking functions where async ones are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from ..joining import join

P = ParamSpec("P")
T = TypeVar("T")


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
