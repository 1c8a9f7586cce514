"""Keeps the cache near the store without making anyone wait for it.

Only the newest version of a record waits to be sent, one batch is in flight at a time, and what finds no room is
dropped: the cache is a help for bad days, not a promise.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable
from contextvars import Context
from functools import partial
from itertools import islice

from ..clock import Clock
from ..errors import HoldfastError
from .guard import Guard
from .model import Record, Resource
from .ports import Cache

log = logging.getLogger(__name__)

# Seconds.
_FRESH_FOR = 10.0


class CacheRefresher:
    """Sends records that were read or written to the cache, in the background.

    capacity: records that may wait to be sent; others are dropped.
    batch:    most records of one call to the cache.
    pause:    seconds between two calls, in which records gather: few large calls cost the cache less than many small.

    A record at the version that was sent last is not sent again for some seconds.
    """

    def __init__(
        self,
        cache: Cache,
        guard: Guard,
        *,
        clock: Clock,
        capacity: int = 10_000,
        batch: int = 256,
        pause: float = 0.02,
    ) -> None:
        self._cache = cache
        self._guard = guard
        self._clock = clock
        self._capacity = capacity
        self._batch = batch
        self._pause = pause
        self._waiting: dict[Resource, Record] = {}
        self._sent: OrderedDict[Resource, tuple[int, float]] = OrderedDict()
        self._sender: asyncio.Task[None] | None = None

    def offer(self, records: Iterable[Record]) -> None:
        """Send these to the cache soon; returns at once."""
        for record in records:
            if self._news(record):
                self._waiting[record.resource] = record
        if self._waiting and (self._sender is None or self._sender.done()):
            self._sender = asyncio.create_task(self._send(), context=Context())

    async def join(self) -> None:
        """Return when all that was offered has been sent or dropped."""
        while self._sender is not None and not self._sender.done():
            await asyncio.wait([self._sender])

    def _news(self, record: Record) -> bool:
        waiting = self._waiting.get(record.resource)
        if waiting is not None:
            return record.version > waiting.version
        version, at = self._sent.get(record.resource, (0, 0.0))
        if record.version < version:
            return False
        stale = record.version > version or self._clock.monotonic() - at > _FRESH_FOR
        return stale and len(self._waiting) < self._capacity

    async def _send(self) -> None:
        while self._waiting:
            records = [self._waiting.pop(key) for key in list(islice(self._waiting, self._batch))]
            try:
                await self._guard.call(partial(self._cache.put, records, now=self._clock.time()))
            except HoldfastError as error:
                log.debug("%d records were not cached: %s", len(records), error)
            except Exception:
                log.exception("%d records were not cached, by a fault of our own", len(records))
            else:
                self._remember(records)
            await self._clock.sleep(self._pause)

    def _remember(self, records: list[Record]) -> None:
        now = self._clock.monotonic()
        for record in records:
            self._sent.pop(record.resource, None)
            self._sent[record.resource] = (record.version, now)
        while len(self._sent) > self._capacity:
            self._sent.popitem(last=False)
