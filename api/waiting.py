"""Requests that wait: bounded in number, and ended by the client's leaving or by the process's end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from .answers import Receive

T = TypeVar("T")


class Places:
    """A counter of requests that are allowed at the same time: at most `limit` hold a place."""

    __slots__ = ("limit", "taken")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def take(self) -> bool:
        """Take a place; False where none is free. Whoever got one gives it back."""
        if self.taken >= self.limit:
            return False
        self.taken += 1
        return True

    def give_back(self) -> None:
        self.taken -= 1

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Lend one's place to others for the time of the block; it is taken again afterwards, even beyond the limit."""
        self.taken -= 1
        try:
            yield
        finally:
            self.taken += 1


class Waiting(Places):
    """Places for those who wait for a job; `stop` ends every wait and lets no new one begin."""

    __slots__ = ("stopping",)

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.stopping = asyncio.Event()

    def stop(self) -> None:
        self.stopping.set()

    def take(self) -> bool:
        return not self.stopping.is_set() and super().take()

    async def for_(self, work: Coroutine[Any, Any, T], receive: Receive) -> T | None:
        """What `work` returns, or None when the client has gone or the process is to end first."""
        return await first_of(work, self.stopping.wait(), client_gone(receive))


async def client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def first_of(work: Coroutine[Any, Any, T], *ends: Coroutine[Any, Any, object]) -> T | None:
    """What `work` returns or raises, None when one of `ends` is over before it; the rest is cancelled."""
    task = asyncio.ensure_future(work)
    tasks: list[asyncio.Task[Any]] = [task, *(asyncio.ensure_future(end) for end in ends)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
