"""The doorbell within one process: whoever rings wakes a replay on the same event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import Context

from holdfast.operations.model import Resource

log = logging.getLogger(__name__)


class LocalDoorbell:
    """Runs a replay in this process when it is rung, one at a time.

    replay: replays the given resources, and goes on with all else that is due.
    """

    def __init__(self, replay: Callable[[Sequence[Resource]], Awaitable[object]]) -> None:
        self._replay = replay
        self._waiting: dict[Resource, None] = {}
        self._running: asyncio.Task[None] | None = None

    def offer(self, resources: Iterable[Resource]) -> None:
        """Have these replayed soon; returns at once. What comes meanwhile is replayed right after."""
        self._waiting.update(dict.fromkeys(resources))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(), context=Context())

    async def ring(self, resources: Sequence[Resource]) -> None:
        """Return once these have been replayed."""
        self.offer(resources)
        if self._running is not None:
            await asyncio.wait([self._running])

    async def close(self) -> None:
        """Return when the replay that is under way has ended; whoever closes has stopped it before."""
        if self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        while self._waiting:
            resources, self._waiting = list(self._waiting), {}
            try:
                await self._replay(resources)
            except Exception:
                log.exception("a replay failed by a fault of its own; the sweeper rings for the rest")
