"""What this process knows of the backlog: for when the ledger cannot be asked, and to estimate how long it takes.

It can be out of date in two ways. It may name a resource whose mailbox has emptied since: a write to it gets a needless
503 while the ledger is away. And it may miss one whose mailbox filled just before the ledger went: a write to it goes
straight to the store and marks the record, and the held operation is then refused as superseded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from ..clock import Clock
from ..errors import HoldfastError
from .guard import Guard
from .model import Resource
from .ports import Ledger

log = logging.getLogger(__name__)

# Seconds.
_BETWEEN_LOOKS = 1.0
_LOOKS_BETWEEN_FULL_ONES = 30
# Operations per second, until a backlog has been seen to shrink.
_RATE_BEFORE_ANY_IS_SEEN = 1000.0
_SMOOTHING = 0.3


class BacklogView:
    """The resources with a backlog, as this process last saw them; `run` keeps them fresh.

    waiting: the number of held operations, as last seen.
    """

    def __init__(self, ledger: Ledger, guard: Guard, *, clock: Clock) -> None:
        self._ledger = ledger
        self._guard = guard
        self._clock = clock
        self._resources: set[Resource] = set()
        self._cursor = 0
        self._looks = 0
        self._rate = _RATE_BEFORE_ANY_IS_SEEN
        self._seen_at: float | None = None
        self.waiting = 0

    def __contains__(self, resource: Resource) -> bool:
        return resource in self._resources

    def add(self, resources: Iterable[Resource]) -> None:
        """Take note of resources that have a backlog, as a gate or a hold has just shown."""
        self._resources.update(resources)

    def seconds_to_drain(self, extra: int = 0) -> float:
        """Seconds until the backlog and `extra` more operations are replayed, once the store is up: an estimate.

        It goes by how fast the backlog shrank when it last did.
        """
        return (self.waiting + extra) / self._rate

    async def run(self) -> None:
        """Refresh for ever; survives outages."""
        while True:
            try:
                await self.refresh()
            except HoldfastError as error:
                log.debug("the backlog is not known now: %s", error)
            await self._clock.sleep(_BETWEEN_LOOKS)

    async def refresh(self) -> None:
        """Add the mailboxes that have filled since the last look; now and then read all of them anew."""
        full = self._looks % _LOOKS_BETWEEN_FULL_ONES == 0
        entered = await self._entered(0 if full else self._cursor)
        self._resources = entered if full else self._resources | entered
        self._looks += 1
        self._count((await self._guard.call(self._ledger.stats)).waiting)

    async def _entered(self, cursor: int) -> set[Resource]:
        entered: set[Resource] = set()
        while True:
            page = await self._guard.call(partial(self._ledger.backlog, cursor=cursor))
            entered.update(page.entered)
            cursor = page.cursor
            if page.size == 0:
                self._resources = set()
            if not page.entered:
                self._cursor = cursor
                return entered

    def _count(self, waiting: int) -> None:
        now = self._clock.monotonic()
        if self._seen_at is not None and waiting < self.waiting and now > self._seen_at:
            drained = (self.waiting - waiting) / (now - self._seen_at)
            self._rate += _SMOOTHING * (drained - self._rate)
        self.waiting, self._seen_at = waiting, now
