"""The write: identify, gate, apply, and hold what the store could not take.

Each batch goes through the steps together, so that its writes share every round trip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import NamedTuple

from ..clock import Clock
from ..errors import OutcomeUnknown, Overloaded, Rejected, Transient, Unavailable
from .apply import as_replayed, key_reused
from .backlog import BacklogView
from .batch import Batcher, BatchOptions
from .guard import Guard
from .model import Applied, Fault, Job, Operation, Origin, Record, Refused, Resource, Result
from .ports import Gate, Hold, Ledger, Store


class Accepted(NamedTuple):
    """The operation is held durably, and its job can be polled. retry_after: seconds, an estimate."""

    job: Job
    retry_after: float


Answer = Applied | Refused | Accepted


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a process writes.

    batches:  the group commit.
    patience: seconds; a write that has waited longer than this for its turn is held instead of tried.
    strict:   while the ledger cannot be asked, refuse every write, instead of only those to resources with a backlog.
    """

    batches: BatchOptions = field(default_factory=BatchOptions)
    patience: float = 1.0
    strict: bool = False


class _Write(NamedTuple):
    operation: Operation
    hold_at_once: bool
    since: float
    size: int


class Writer:
    """Takes every write of a process. Ports and guards are shared with their other users.

    ring:    tells the workers of held operations, without waiting.
    refresh: takes records that have changed, for the cache.
    """

    def __init__(
        self,
        *,
        store: Store,
        store_guard: Guard,
        ledger: Ledger,
        ledger_guard: Guard,
        backlog: BacklogView,
        ring: Callable[[Iterable[Resource]], None],
        refresh: Callable[[Iterable[Record]], None],
        clock: Clock,
        options: WriteOptions | None = None,
    ) -> None:
        self._store = store
        self._store_guard = store_guard
        self._ledger = ledger
        self._ledger_guard = ledger_guard
        self._backlog = backlog
        self._ring = ring
        self._refresh = refresh
        self._clock = clock
        self._options = options or WriteOptions()
        self._batcher: Batcher[_Write, Answer] = Batcher(self._process, self._options.batches, weigh=attrgetter("size"))
        self._in_flight: dict[str, tuple[Operation, asyncio.Future[Answer]]] = {}

    async def write(self, operation: Operation, *, hold_at_once: bool = False, size: int = 0) -> Answer:
        """Have the operation applied now, or held.

        hold_at_once: hold it even if the store could apply it now.
        size:         bytes of its payload, so that large ones do not share a batch; 0 if not known.

        A keyed operation that is being tried already waits for the answer of that try. When its caller is cancelled,
        the write may go on without it.

        Raises Overloaded when too many wait, Unavailable when nothing has happened, and OutcomeUnknown when it may
        have happened; repeating it with the same key is safe after either. Any other exception is a bug of ours or
        the operation's own fault, and the operation is not held.
        """
        write = _Write(operation, hold_at_once, self._clock.monotonic(), size)
        if not operation.keyed:
            return await self._batcher.submit(write)
        first = self._in_flight.get(operation.id)
        if first is not None:
            return await _join(operation, *first)
        future = asyncio.ensure_future(self._batcher.submit(write))
        self._in_flight[operation.id] = (operation, future)
        future.add_done_callback(self._forget(operation.id))
        return await asyncio.shield(future)

    def _forget(self, operation_id: str) -> Callable[[asyncio.Future[Answer]], None]:
        def over(future: asyncio.Future[Answer]) -> None:
            del self._in_flight[operation_id]
            if not future.cancelled():
                future.exception()  # asyncio complains of an error that nobody saw; here the caller has left

        return over

    async def join(self) -> None:
        """Return when every write that was begun has its answer."""
        await self._batcher.join()

    async def _process(self, writes: list[_Write]) -> list[Answer | BaseException]:
        answers: list[Answer | BaseException | None] = [None] * len(writes)
        batch = _Batch(writes, answers)
        await self._gate(batch)
        held = asyncio.ensure_future(self._hold(batch, batch.take_held())) if batch.held else None
        await self._apply(batch)
        await self._hold(batch, batch.take_held())
        if held is not None:
            await held
        return [answer if answer is not None else Unavailable("not tried") for answer in answers]

    # Gate

    async def _gate(self, batch: _Batch) -> None:
        operations = [write.operation for write in batch.writes]
        try:
            gates = await self._ledger_guard.call(lambda: self._ledger.gate(operations))
        except (Transient, Rejected) as error:
            self._pass_ungated(batch, error)
            return
        for position, (write, gate) in enumerate(zip(batch.writes, gates, strict=True)):
            self._pass(batch, position, write, gate)

    def _pass(self, batch: _Batch, position: int, write: _Write, gate: Gate) -> None:
        if gate.job is not None:
            batch.answers[position] = self._found(write.operation, gate.job)
        elif gate.waiting:
            self._backlog.add([write.operation.resource])
            batch.held.append((position, Hold(write.operation)))
        elif write.hold_at_once or self._late(write):
            batch.held.append((position, Hold(write.operation)))
        else:
            batch.tries.append((position, write.operation))

    def _pass_ungated(self, batch: _Batch, error: Exception) -> None:
        for position, write in enumerate(batch.writes):
            operation = write.operation
            if self._options.strict:
                batch.answers[position] = Unavailable(f"the ledger cannot be asked, and ordering is strict: {error}")
            elif operation.resource in self._backlog:
                batch.answers[position] = Unavailable(
                    f"{operation.resource} has operations waiting, and the ledger cannot be asked: {error}"
                )
            else:
                batch.tries.append((position, replace(operation, origin=Origin.UNGATED)))

    def _found(self, operation: Operation, job: Job) -> Answer:
        if job.operation.fingerprint != operation.fingerprint:
            return key_reused(operation)
        return as_replayed(job.outcome) if job.outcome is not None else self._accepted(job)

    def _late(self, write: _Write) -> bool:
        return self._clock.monotonic() - write.since > self._options.patience

    # Apply

    async def _apply(self, batch: _Batch) -> None:
        if not batch.tries:
            return
        tries, batch.tries = batch.tries, []
        operations = [operation for _, operation in tries]
        try:
            results = await self._store_guard.call(lambda: self._store.apply(operations))
        except (Unavailable, Rejected):
            batch.held.extend((position, Hold(operation)) for position, operation in tries)
        except Transient:
            batch.held.extend((position, Hold(operation, unsure=True)) for position, operation in tries)
        except Exception as error:  # noqa: BLE001 - a bug costs those who were tried, and nobody else
            for position, _ in tries:
                batch.answers[position] = error
        else:
            for (position, operation), result in zip(tries, results, strict=True):
                self._tried(batch, position, operation, result)
            self._refresh(result.record for result in results if isinstance(result, Applied))

    def _tried(self, batch: _Batch, position: int, operation: Operation, result: Result) -> None:
        if not isinstance(result, Fault):
            batch.answers[position] = result
        elif isinstance(result.error, Unavailable):  # this record alone cannot be written now
            batch.held.append((position, Hold(operation)))
        else:
            batch.answers[position] = result.error

    # Hold

    async def _hold(self, batch: _Batch, held: list[tuple[int, Hold]]) -> None:
        if not held:
            return
        # A key may have been used before, for a try that the ledger does not know of.
        holds = [Hold(hold.operation, hold.unsure or hold.operation.keyed) for _, hold in held]
        try:
            jobs = await self._hold_durably(holds)
        except (Transient, Rejected) as error:
            for position, hold in held:
                batch.answers[position] = _not_held(hold, error)
            return
        for (position, hold), job in zip(held, jobs, strict=True):
            batch.answers[position] = self._found(hold.operation, job)
        resources = [hold.operation.resource for hold in holds]
        self._backlog.add(resources)
        if self._store_guard.closed:
            self._ring(resources)

    async def _hold_durably(self, holds: Sequence[Hold]) -> list[Job]:
        try:
            return await self._ledger_guard.call(lambda: self._ledger.hold(holds))
        except OutcomeUnknown:
            try:
                return await self._ledger_guard.call(lambda: self._ledger.hold(holds))
            except (Transient, Rejected) as error:
                raise OutcomeUnknown(f"the ledger did not answer: {error}") from error

    def _accepted(self, job: Job) -> Accepted:
        wait = self._store_guard.retry_after + self._backlog.seconds_to_drain(extra=1)
        return Accepted(job, retry_after=wait)


class _Batch:
    """The writes of one batch on their way: answered, to be tried, or to be held, each by its position."""

    def __init__(self, writes: list[_Write], answers: list[Answer | BaseException | None]) -> None:
        self.writes = writes
        self.answers = answers
        self.tries: list[tuple[int, Operation]] = []
        self.held: list[tuple[int, Hold]] = []

    def take_held(self) -> list[tuple[int, Hold]]:
        held, self.held = self.held, []
        return held


async def _join(operation: Operation, first: Operation, future: asyncio.Future[Answer]) -> Answer:
    if first.fingerprint != operation.fingerprint:
        return key_reused(operation)
    answer = await asyncio.shield(future)
    return answer if isinstance(answer, Accepted) else as_replayed(answer)


def _not_held(hold: Hold, error: Exception) -> Exception:
    """What to tell a caller whose write could be neither applied nor held."""
    if isinstance(error, Overloaded) and not hold.unsure:
        return Overloaded("the ledger is full", retry_after=error.retry_after)
    text = f"neither the store nor the ledger could take it: {error}"
    if hold.unsure or isinstance(error, OutcomeUnknown):
        return OutcomeUnknown(text)
    return Unavailable(text)
