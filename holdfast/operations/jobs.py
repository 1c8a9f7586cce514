"""Jobs: what a client polls, and what an operator decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable

from ..clock import Clock
from .batch import Batcher, BatchOptions
from .guard import Guard
from .model import Job, Resource, State
from .ports import Cancelled, Ledger


class Jobs:
    """The ledger as clients see it. Every call raises Transient or Rejected when the ledger cannot be asked.

    poll: seconds between two looks at a job that is waited for; looks of the same moment share a round trip.
    """

    def __init__(
        self,
        ledger: Ledger,
        guard: Guard,
        *,
        ring: Callable[[Iterable[Resource]], None],
        clock: Clock,
        poll: float = 0.1,
        batches: BatchOptions | None = None,
    ) -> None:
        self._ledger = ledger
        self._guard = guard
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
        """Take back an operation that has surely not been applied yet."""
        return await self._guard.call(lambda: self._ledger.cancel(operation_id))

    async def retry(self, operation_id: str) -> Job | None:
        """Have a dead operation tried again; the job as it is then, None if there is none."""
        job = await self._guard.call(lambda: self._ledger.retry(operation_id))
        if job is not None and not job.state.settled:
            self._ring([job.operation.resource])
        return job

    async def _look_up(self, ids: list[str]) -> list[Job | BaseException | None]:
        return list(await self._guard.call(lambda: self._ledger.jobs(ids)))
