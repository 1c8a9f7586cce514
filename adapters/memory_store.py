"""Records in the memory of one process: for the memory profile, and as the model that other stores are held to."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from itertools import islice

from holdfast.clock import Clock, system_clock
from holdfast.operations.model import Operation, Record, Resource, Result
from holdfast.operations.plan import Known, plan


class MemoryStore:
    """All is gone when the process ends. Nothing here waits, so that every call is atomic on its event loop.

    clock: tells when an operation was applied.
    """

    def __init__(self, *, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._records: dict[Resource, Record] = {}
        self._known: dict[str, Known] = {}
        self._applied_at: dict[str, float] = {}

    async def apply(self, operations: Sequence[Operation]) -> list[Result]:
        results: dict[int, Result] = {}
        now = self._clock.time()
        for group in plan(list(enumerate(operations)), self._records, self._known):
            results.update(group.answers)
            if group.record is not None:
                self._records[group.resource] = group.record
            for operation, outcome in group.entries:
                self._known[operation.id] = Known(operation.fingerprint, outcome)
                self._applied_at[operation.id] = now
        return [results[position] for position in range(len(operations))]

    async def read(self, resources: Sequence[Resource]) -> list[Record | None]:
        return [self._records.get(resource) for resource in resources]

    async def page(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        found = (record for record in self._records.values() if record.resource.collection == collection)
        items = (record for record in found if not record.deleted and (after is None or record.resource.id > after))
        return nsmallest(limit, items, key=lambda record: record.resource.id)

    async def prune(self, *, before: float, limit: int) -> int:
        old = list(islice((id_ for id_, at in self._applied_at.items() if at < before), limit))
        for id_ in old:
            del self._known[id_], self._applied_at[id_]
        return len(old)

    async def ping(self) -> None:
        """Memory always answers."""

    async def close(self) -> None:
        """There is nothing to let go of."""
