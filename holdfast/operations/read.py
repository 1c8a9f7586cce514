"""Reads: from the store, or from the cache when the store cannot be asked, and always with a word on what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import reduce
from typing import NamedTuple

from ..errors import Rejected, Transient, Unavailable
from .apply import apply
from .batch import Batcher, BatchOptions
from .guard import Guard
from .model import Applied, Kind, Operation, Origin, Record, Resource
from .ports import Cache, Cached, Ledger, Store


class Reading(NamedTuple):
    """record:        None where there is none.
    pending:       the id of the youngest operation that is held for it.
    cached_at:     set when the store could not be asked: when this was known to be current, seconds since the epoch.
    pending_known: the ledger could be asked, which alone knows what is held.
    """

    record: Record | None
    pending: str | None = None
    cached_at: float | None = None
    pending_known: bool = True


class Reader:
    """Answers every read of a process; concurrent reads share their round trips."""

    def __init__(
        self,
        *,
        store: Store,
        store_guard: Guard,
        ledger: Ledger,
        ledger_guard: Guard,
        cache: Cache,
        cache_guard: Guard,
        refresh: Callable[[Iterable[Record]], None],
        batches: BatchOptions | None = None,
    ) -> None:
        self._store = store
        self._store_guard = store_guard
        self._ledger = ledger
        self._ledger_guard = ledger_guard
        self._cache = cache
        self._cache_guard = cache_guard
        self._refresh = refresh
        self._batcher: Batcher[Resource, Reading] = Batcher(self._process, batches)

    async def get(self, resource: Resource, *, apply_pending: bool = False) -> Reading:
        """The record as the store has it, or else the cache.

        apply_pending: as it will be once the held operations are applied.
        Raises Unavailable when neither knows, Overloaded when too many wait.
        """
        if not apply_pending:
            return _visible(await self._batcher.submit(resource))
        return await self._get_applied(resource)

    async def page(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        """Records of a collection by id, from the store only. Raises Transient or Rejected."""
        return await self._store_guard.call(lambda: self._store.page(collection, after=after, limit=limit))

    async def _process(self, resources: list[Resource]) -> list[Reading | BaseException]:
        # The ledger first: what is settled between the two is then marked and seen, never unseen and unmarked.
        pending = await self._pending(resources)
        readings = await self._records(resources)
        known, last = pending is not None, pending or [None] * len(resources)
        return [
            reading._replace(pending=each, pending_known=known) if isinstance(reading, Reading) else reading
            for reading, each in zip(readings, last, strict=True)
        ]

    async def _pending(self, resources: list[Resource]) -> Sequence[str | None] | None:
        """The youngest operation that waits for each; None where the ledger cannot be asked."""
        try:
            return await self._ledger_guard.call(lambda: self._ledger.last_waiting(resources))
        except (Transient, Rejected):
            return None

    async def _records(self, resources: list[Resource]) -> list[Reading | BaseException]:
        try:
            records = await self._store_guard.call(lambda: self._store.read(resources))
        except (Transient, Rejected) as error:
            return await self._cached(resources, error)
        self._refresh(record for record in records if record is not None)
        return [Reading(record) for record in records]

    async def _cached(self, resources: list[Resource], cause: Exception) -> list[Reading | BaseException]:
        try:
            found: Sequence[Cached | None] = await self._cache_guard.call(lambda: self._cache.get(resources))
        except (Transient, Rejected):
            found = [None] * len(resources)
        return [
            Reading(cached.record, cached_at=cached.stored_at)
            if cached is not None
            else Unavailable(f"the store cannot be asked, and the cache does not know {resource}: {cause}")
            for resource, cached in zip(resources, found, strict=True)
        ]

    async def _get_applied(self, resource: Resource) -> Reading:
        waiting, known = await asyncio.gather(
            self._ledger_guard.call(lambda: self._ledger.waiting([resource])),
            self._batcher.submit(resource),
            return_exceptions=True,
        )
        if isinstance(waiting, BaseException):
            raise waiting
        operations = waiting[0]
        if isinstance(known, BaseException):
            if not (isinstance(known, Unavailable) and operations and operations[0].kind is Kind.CREATE):
                raise known
            known = Reading(None)  # what begins with its own creation needs no store to be known
        last = operations[-1].id if operations else known.pending
        return _visible(Reading(reduce(_applied, operations, known.record), last, known.cached_at))


def _applied(record: Record | None, operation: Operation) -> Record | None:
    outcome = apply(record, replace(operation, origin=Origin.HELD))
    return outcome.record if isinstance(outcome, Applied) else record


def _visible(reading: Reading) -> Reading:
    deleted = reading.record is not None and reading.record.deleted
    return reading._replace(record=None) if deleted else reading
