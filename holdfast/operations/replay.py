"""Replay: lease mailboxes, apply their heads to the store, settle. Many mailboxes move in one round trip.

An outage ends a replay and counts for nothing; only an operation's own fault uses up its attempts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from ..backoff import Backoff
from ..clock import Clock
from ..errors import OutcomeUnknown, Rejected, Transient
from .guard import Guard
from .model import Applied, Fault, Job, Operation, Origin, Record, Resource, Result
from .pace import Pace, PaceOptions
from .ports import Again, Dead, Done, Lease, Ledger, Settlement, Store, Verdict
from .telling import tell

log = logging.getLogger(__name__)

# Seconds of a rest between two looks at whether to stop.
_LOOK = 0.25


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """lease:        seconds for which a mailbox is leased; longer than a batch can take, or another begins it too.
    depth:        most operations of one mailbox in a batch.
    lanes:        batches on their way at the same time, so that ledger and store work at once.
    time_slice:   seconds after which a replay leaves the rest to the next doorbell.
    max_attempts: failures by its own fault after which an operation is dead.
    dead:         whether a dead operation blocks its mailbox (order is kept) or the next one may pass.
    fault_delay:  wait before an operation that failed by its own fault is tried again.
    store_delay:  wait before a mailbox is due again whose store went away.
    """

    lease: float = 15.0
    depth: int = 64
    lanes: int = 2
    time_slice: float = 10.0
    max_attempts: int = 8
    dead: Literal["block", "pass"] = "block"
    fault_delay: Backoff = field(default_factory=lambda: Backoff(base=1.0, cap=300.0, jitter="equal"))
    store_delay: Backoff = field(default_factory=lambda: Backoff(base=1.0, cap=5.0, jitter="equal"))
    pace: PaceOptions = field(default_factory=PaceOptions)

    def __post_init__(self) -> None:
        if min(self.depth, self.lanes, self.max_attempts) < 1 or min(self.lease, self.time_slice) <= 0:
            raise ValueError(f"depth, lanes, max_attempts, lease and time_slice must be positive, got {self}")


class Replayer:
    """Drains mailboxes. Any number of them may run at once, in any process: leases keep them apart.

    refresh: takes records that have changed.
    """

    def __init__(
        self,
        *,
        store: Store,
        store_guard: Guard,
        ledger: Ledger,
        ledger_guard: Guard,
        refresh: Callable[[Iterable[Record]], None],
        clock: Clock,
        options: ReplayOptions | None = None,
    ) -> None:
        self._store = store
        self._store_guard = store_guard
        self._ledger = ledger
        self._ledger_guard = ledger_guard
        self._refresh = refresh
        self._clock = clock
        self._options = options or ReplayOptions()
        self._pace = Pace(self._options.pace)
        self._outages = 0
        self._stopping = False

    async def replay(self, resources: Sequence[Resource] = ()) -> int:
        """Replay what is due of `resources`, then whatever else is due, until nothing is; return how many settled.

        Ends early, with every lease given back, when the store or the ledger is away, the time slice is over or
        `stop` was called.
        """
        until = self._clock.monotonic() + self._options.time_slice
        named = iter(resources)
        counts = await asyncio.gather(*(self._lane(named, until) for _ in range(self._options.lanes)))
        return sum(counts)

    def stop(self) -> None:
        """Have a running replay end after the batches that it is in, and every later one at once."""
        self._stopping = True

    async def _lane(self, named: Iterable[Resource], until: float) -> int:
        settled = 0
        try:
            while not self._stopping and self._clock.monotonic() < until and await self._both_ready():
                wanted = list(islice(named, self._pace.size))
                leases = await self._lease(wanted)
                if leases:
                    settled += await self._replay(leases)
                elif not wanted:
                    break
        except (Transient, Rejected) as error:
            log.info("the replay stops here: %s", error)
        return settled

    async def _both_ready(self) -> bool:
        return await self._store_guard.ready() and await self._ledger_guard.ready()

    async def _lease(self, wanted: list[Resource]) -> list[Lease]:
        options = self._options
        return await self._ledger_guard.call(
            lambda: self._ledger.lease(
                limit=self._pace.size, depth=options.depth, ttl=options.lease, resources=wanted or None
            )
        )

    async def _replay(self, leases: list[Lease]) -> int:
        operations = [replace(job.operation, origin=Origin.HELD) for lease in leases for job in lease.jobs]
        began = self._clock.monotonic()
        try:
            results = await self._apply(operations)
        except (Transient, Rejected) as error:
            await self._give_back(leases, error)
            raise
        except Exception as error:  # noqa: BLE001 - a bug: find whose operation it is that meets it
            if len(leases) > 1:
                return sum([await self._replay([lease]) for lease in leases])
            results = [Fault(error)] * len(operations)
        self._outages = 0
        applied = self._clock.monotonic()
        self._refresh(result.record for result in results if isinstance(result, Applied))
        settled = await self._settle(self._settlements(leases, results))
        await self._rest(self._pace.took(max(applied - began, self._clock.monotonic() - applied)))
        return settled

    async def _rest(self, seconds: float) -> None:
        """Ends soon after `stop`: on a slow machine a rest may be long."""
        until = self._clock.monotonic() + seconds
        while not self._stopping and (left := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, _LOOK))

    async def _apply(self, operations: list[Operation]) -> list[Result]:
        return await self._store_guard.call(lambda: self._store.apply(operations))

    def _settlements(self, leases: list[Lease], results: Sequence[Result]) -> list[Settlement]:
        remaining = iter(results)
        return [self._settlement(lease, list(islice(remaining, len(lease.jobs)))) for lease in leases]

    def _settlement(self, lease: Lease, results: list[Result]) -> Settlement:
        verdicts: list[Verdict] = []
        due_in = 0.0
        for job, result in zip(lease.jobs, results, strict=True):
            if not isinstance(result, Fault):
                verdicts.append(Done(job.operation.id, result))
                continue
            verdict = self._fault(job, result.error)
            verdicts.append(verdict)
            if isinstance(verdict, Again):
                due_in = self._options.fault_delay.delay(job.attempts + 1)
            break
        return Settlement(lease, tuple(verdicts), due_in)

    def _fault(self, job: Job, error: Exception) -> Verdict:
        text = f"{type(error).__name__}: {error}".partition("\n")[0]  # behind that, a driver may show the data
        if isinstance(error, Transient):  # the record alone cannot be written now: no fault of the operation
            return Again(job.operation.id, tell(error, "the record"), unsure=isinstance(error, OutcomeUnknown))
        operation = job.operation
        log.error(
            "operation %s on %s failed by its own fault: %s",
            operation.id,
            operation.resource,
            text,
            extra={"operation_id": operation.id},
        )
        if job.attempts + 1 < self._options.max_attempts:
            return Again(job.operation.id, tell(error, "the store"), counts=True)
        return Dead(job.operation.id, tell(error, "the store"), blocks=self._options.dead == "block")

    async def _give_back(self, leases: list[Lease], error: Exception) -> None:
        self._outages += 1
        self._pace.failed()
        unsure, told = isinstance(error, OutcomeUnknown), tell(error, "the store")
        due_in = self._options.store_delay.delay(self._outages)
        await self._settle(
            [
                Settlement(lease, tuple(Again(job.operation.id, told, unsure=unsure) for job in lease.jobs), due_in)
                for lease in leases
            ]
        )

    async def _settle(self, settlements: list[Settlement]) -> int:
        """Settling is safe to repeat, and what it cannot record is found by its id in the store later."""
        try:
            return sum(await self._ledger_guard.call(lambda: self._ledger.settle(settlements)))
        except OutcomeUnknown:
            return sum(await self._ledger_guard.call(lambda: self._ledger.settle(settlements)))
