"""Batches of one process that touch the same record go one after the other, instead of outrunning each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .model import Resource

End = asyncio.Future[None]


class Turns:
    """Who is the last in line for each resource, on one event loop."""

    def __init__(self) -> None:
        self._last: dict[Resource, End] = {}

    @asynccontextmanager
    async def take(self, resources: frozenset[Resource]) -> AsyncIterator[None]:
        """Hold the turn of all these resources for the block, after those who asked before.

        One joins the lines of all of them at once, so that no two can wait for each other.
        """
        before = {self._last[resource] for resource in resources if resource in self._last}
        end: End = asyncio.get_running_loop().create_future()
        self._last.update(dict.fromkeys(resources, end))
        try:
            if before:
                await asyncio.wait(before)
            yield
        finally:
            self._leave(resources, end, {other for other in before if not other.done()})

    def _leave(self, resources: frozenset[Resource], end: End, before: set[End]) -> None:
        """End the turn, once those in `before` have ended too: a cancelled caller has not waited for them."""
        if before:
            waiting = asyncio.ensure_future(asyncio.wait(before))
            waiting.add_done_callback(lambda _: self._leave(resources, end, set()))
            return
        for resource in resources:
            if self._last[resource] is end:
                del self._last[resource]
        end.set_result(None)
