"""The cache in this process's memory, for the memory profile."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from holdfast.operations.model import Record, Resource
from holdfast.operations.ports import Cached


class MemoryCache:
    """The cache of one process. size: records; beyond it, the one that was not asked for the longest is forgotten."""

    def __init__(self, *, size: int = 10_000) -> None:
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self._size = size
        self._cached: OrderedDict[Resource, Cached] = OrderedDict()

    async def put(self, records: Sequence[Record], *, now: float) -> None:
        for record in records:
            known = self._cached.get(record.resource)
            if known is None or (known.record.version, known.stored_at) < (record.version, now):
                self._cached[record.resource] = Cached(record, now)
            self._cached.move_to_end(record.resource)
        while len(self._cached) > self._size:
            self._cached.popitem(last=False)

    async def get(self, resources: Sequence[Resource]) -> list[Cached | None]:
        return [self._use(resource) for resource in resources]

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Nothing to close."""

    def _use(self, resource: Resource) -> Cached | None:
        cached = self._cached.get(resource)
        if cached is not None:
            self._cached.move_to_end(resource)
        return cached
