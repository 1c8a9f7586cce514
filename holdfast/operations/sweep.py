"""The sweep: rings for every mailbox that is due, so that no lost doorbell strands an operation.

The ledger is the truth, so any number of sweepers may run; one too many only rings twice.
"""

from __future__ import annotations

import logging
import math

from ..clock import Clock
from ..errors import HoldfastError
from .guard import Guard
from .ports import Ledger, Ring, Store

log = logging.getLogger(__name__)


class Sweeper:
    """Rings again and again for what is due, and forgets what is too old.

    ring:            tells the workers, or replays by itself; raises Transient or Rejected when it cannot.
    interval:        seconds between sweeps.
    batch:           mailboxes rung for in a sweep; whoever is rung goes on with all the others that are due.
    prune_interval:  seconds between prunings.
    prune_batch:     ids and jobs forgotten at a time.
    keep_operations: seconds for which the store remembers the ids of operations: longer than a late commit can take,
                     and than clients may repeat a key.
    """

    def __init__(
        self,
        *,
        store: Store,
        store_guard: Guard,
        ledger: Ledger,
        ledger_guard: Guard,
        ring: Ring,
        clock: Clock,
        interval: float = 0.5,
        batch: int = 500,
        prune_interval: float = 60.0,
        prune_batch: int = 5_000,
        keep_operations: float = 7 * 86_400.0,
    ) -> None:
        self._store = store
        self._store_guard = store_guard
        self._ledger = ledger
        self._ledger_guard = ledger_guard
        self._ring = ring
        self._clock = clock
        self._interval = interval
        self._batch = batch
        self._prune_interval = prune_interval
        self._prune_batch = prune_batch
        self._keep_operations = keep_operations
        self._pruned_at = clock.monotonic()
        self._trouble: type[HoldfastError | None] = type(None)

    async def run(self) -> None:
        """Sweep for ever, through every outage; cancel it to end it."""
        while True:
            try:
                await self.sweep()
                await self._prune_in_time()
            except HoldfastError as error:
                self._tell(error)
            else:
                self._tell(None)
            await self._clock.sleep(self._interval)

    async def sweep(self) -> int:
        """Ring once for what is due, unless the store is away; return for how many mailboxes."""
        if not (await self._store_guard.ready() and await self._ledger_guard.ready()):
            return 0
        due = await self._ledger_guard.call(lambda: self._ledger.due(limit=self._batch))
        if due:
            await self._ring(due)
        return len(due)

    async def prune(self) -> tuple[int, int]:
        """Forget a batch of what is too old; return how many operation ids in the store, and jobs in the ledger.

        An operation that still waits in the ledger may have taken effect already, by a try whose answer was lost, and
        only its id in the store keeps its replay from doing so again. So ids count as old by the age that they had
        when the oldest waiting operation was accepted.
        """
        oldest = (await self._ledger_guard.call(self._ledger.stats)).oldest
        before = min(self._clock.time(), math.inf if oldest is None else oldest) - self._keep_operations
        ids = await self._store_guard.call(lambda: self._store.prune(before=before, limit=self._prune_batch))
        jobs = await self._ledger_guard.call(lambda: self._ledger.prune(limit=self._prune_batch))
        return ids, jobs

    async def _prune_in_time(self) -> None:
        now = self._clock.monotonic()
        if now - self._pruned_at < self._prune_interval or not (self._store_guard.closed and self._ledger_guard.closed):
            return
        if self._prune_batch not in await self.prune():
            self._pruned_at = now

    def _tell(self, error: HoldfastError | None) -> None:
        """Log the change of what is wrong, not every try."""
        if type(error) is not self._trouble:
            log.info("the sweep works again") if error is None else log.warning("the sweep cannot work: %s", error)
        self._trouble = type(error)
