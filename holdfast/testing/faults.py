"""Faults at a port: a real adapter whose calls fail, hang, or succeed without saying so, as a test asks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, cast

from ..errors import OutcomeUnknown, Unavailable

P = TypeVar("P")

Fault = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def refused(_work: Callable[[], Awaitable[Any]]) -> Any:
    """Nothing happens."""
    raise Unavailable("refused by the test")


async def lost(work: Callable[[], Awaitable[Any]]) -> Any:
    """It happens, and the answer is lost."""
    await work()
    raise OutcomeUnknown("the answer was lost by the test")


async def vanished(_work: Callable[[], Awaitable[Any]]) -> Any:
    """It does not happen, and nobody can tell."""
    raise OutcomeUnknown("the request was lost by the test")


async def hung(_work: Callable[[], Awaitable[Any]]) -> Any:
    """Nothing is ever heard of it."""
    await asyncio.Event().wait()


def broken(error: Exception) -> Fault:
    """A bug of the adapter."""

    async def fault(_work: Callable[[], Awaitable[Any]]) -> Any:
        raise error

    return fault


class Faults(Generic[P]):
    """Stands in front of `port`; `faults.port` is what the code under test is given.

    down: the fault of every call, if any. `next` faults single calls. calls: names of the methods called, in order.
    """

    def __init__(self, port: P) -> None:
        self.down: Fault | None = None
        self.calls: list[str] = []
        self._next: dict[str, deque[Fault]] = {}
        self.port = cast("P", _Proxy(port, self))

    def next(self, method: str, *faults: Fault) -> None:
        """The next calls of `method` meet these, one each."""
        self._next.setdefault(method, deque()).extend(faults)

    def mend(self) -> None:
        """No fault any more, now or later."""
        self.down = None
        self._next.clear()

    async def run(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        self.calls.append(name)
        waiting = self._next.get(name)
        fault = waiting.popleft() if waiting else self.down
        return await (fault(work) if fault is not None else work())


class _Proxy:
    def __init__(self, port: object, faults: Faults[Any]) -> None:
        self._port = port
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Awaitable[Any]:
            return self._faults.run(name, lambda: method(*args, **kwargs))

        return call
