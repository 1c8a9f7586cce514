"""Jobs: what a client polls, and what an operator decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace

from ..clock import Clock
from ..errors import Rejected, Unavailable
from .batch import Batcher, BatchOptions
from .guard import Guard
from .model import Fault, Job, Operation, Origin, ProblemType, Refused, Resource, State
from .ports import Cancelled, Ledger, Store


class Jobs:
    """The ledger as clients see it. Every call raises Transient or Rejected when the ledger cannot be asked.

    ring: tells the workers of a job that was retried, without waiting.
    poll: seconds between two looks at a job that is waited for; looks of the same moment share a round trip.
    """

    def __init__(
        self,
        *,
        store: Store,
        store_guard: Guard,
        ledger: Ledger,
        ledger_guard: Guard,
        ring: Callable[[Iterable[Resource]], None],
        clock: Clock,
        poll: float = 0.1,
        batches: BatchOptions | None = None,
    ) -> None:
        self._ledger = ledger
        self._guard = ledger_guard
        self._store = store
        self._store_guard = store_guard
        self._ring = ring
        self._clock = clock
        self._poll = poll
        self._batcher: Batcher[str, Job | None] = Batcher(self._look_up, batches)

    async def get(self, operation_id: str) -> Job | None:
        """The job, None if there is none or it was settled too long ago."""
        return await self._batcher.submit(operation_id)

    async def wait(self, operation_id: str, *, seconds: float) -> Job | None:
        """The job once it is settled, or as it is after `seconds`."""
        until = self._clock.monotonic() + seconds
        job = await self.get(operation_id)
        while job is not None and not job.state.settled and (left := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(self._poll, left))
            job = await self.get(operation_id)
        return job

    async def watch(self, operation_id: str) -> AsyncIterator[Job]:
        """The job now and after each change, until it is settled or forgotten."""
        last: Job | None = None
        while (job := await self.get(operation_id)) is not None:
            if job != last:
                yield job
            if job.state.settled:
                return
            last = job
            await self._clock.sleep(self._poll)

    async def page(self, *, state: State | None, cursor: str | None, limit: int) -> tuple[list[Job], str | None]:
        """A page of jobs and the next cursor. Raises ValueError for a bad cursor."""
        return await self._guard.call(lambda: self._ledger.list_jobs(state=state, cursor=cursor, limit=limit))

    async def cancel(self, operation_id: str) -> Cancelled:
        """Cancel an operation that has not been applied.

        If the ledger cannot tell whether it was, the store is told to refuse it from now on (it is withdrawn), and it
        is cancelled only if the store has done so. Raises OutcomeUnknown when the store did not answer; repeating the
        call is safe then.
        """
        found = await self._guard.call(lambda: self._ledger.cancel(operation_id))
        waits = found.job is not None and found.job.state in (State.QUEUED, State.RETRYING)
        if found.job is None or not waits or not await self._withdrawn(found.job.operation):
            return found
        return await self._guard.call(lambda: self._ledger.cancel(operation_id, withdrawn=True))

    async def _withdrawn(self, operation: Operation) -> bool:
        """Have the store refuse the operation for good; False if it has taken effect, or the store cannot be asked."""
        withdrawn = replace(operation, origin=Origin.WITHDRAWN)
        try:
            (result,) = await self._store_guard.call(lambda: self._store.apply([withdrawn]))
        except (Unavailable, Rejected):
            return False
        if isinstance(result, Fault) and not isinstance(result.error, Unavailable):
            raise result.error
        return isinstance(result, Refused) and result.problem.type is ProblemType.CANCELLED

    async def retry(self, operation_id: str) -> Job | None:
        """Have a dead operation tried again; the job as it is then, None if there is none."""
        job = await self._guard.call(lambda: self._ledger.retry(operation_id))
        if job is not None and not job.state.settled:
            self._ring([job.operation.resource])
        return job

    async def _look_up(self, ids: list[str]) -> list[Job | BaseException | None]:
        return list(await self._guard.call(lambda: self._ledger.jobs(ids)))
