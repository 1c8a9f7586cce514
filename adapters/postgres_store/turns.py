"""Batches of one process that touch the same record go one after the other, instead of outrunning each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from holdfast.operations.model import Resource


class Turns:
    """Who works on which resource now, on one event loop."""

    def __init__(self) -> None:
        self._taken: dict[Resource, asyncio.Future[None]] = {}

    @asynccontextmanager
    async def take(self, resources: frozenset[Resource]) -> AsyncIterator[None]:
        """All of them together or none yet, so that nobody waits in a circle."""
        while others := {self._taken[resource] for resource in resources if resource in self._taken}:
            await asyncio.wait(others)
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._taken.update(dict.fromkeys(resources, end))
        try:
            yield
        finally:
            for resource in resources:
                del self._taken[resource]
            end.set_result(None)
