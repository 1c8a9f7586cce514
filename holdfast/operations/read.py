"""Reads: from the store, or from the cache and replicas while it cannot be asked; and whether operations are held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from math import isclose
from typing import NamedTuple

from ..errors import Rejected, Transient, Unavailable
from .apply import apply, data_after
from .batch import Batcher, BatchOptions
from .guard import Guard
from .model import Applied, Kind, Operation, Origin, Record, Resource
from .ports import Cache, Cached, Ledger, Replicas, Store

# Seconds.
_SAME_TIME = 0.0005


class Reading(NamedTuple):
    """What is known of a record.

    record:        None if there is none.
    pending:       the id of the youngest operation that is held for it, None if none is.
    cached_at:     None if the store was asked; else when this was known to be current, seconds since the epoch.
    pending_known: whether the ledger could be asked, without which `pending` says nothing.
    replica:       whether this comes from a replica of the store, and not from the cache.
    """

    record: Record | None
    pending: str | None = None
    cached_at: float | None = None
    pending_known: bool = True
    replica: bool = False


class Reader:
    """Answers every read of a process; concurrent reads share their round trips.

    replicas: asked beside the cache while the store cannot be; the newer of the two answers counts.
    """

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
        replicas: Replicas | None = None,
        batches: BatchOptions | None = None,
    ) -> None:
        self._store = store
        self._store_guard = store_guard
        self._ledger = ledger
        self._ledger_guard = ledger_guard
        self._cache = cache
        self._cache_guard = cache_guard
        self._refresh = refresh
        self._replicas = replicas
        self._batcher: Batcher[Resource, Reading] = Batcher(self._process, batches)

    async def get(self, resource: Resource, *, apply_pending: bool = False) -> Reading:
        """The record as the store has it or, if the store cannot be asked, as a replica or the cache last knew it.

        apply_pending: show it as it will be once the held operations are applied; the ledger must be asked for that,
                       and Transient or Rejected is raised when it cannot be.
        Raises Unavailable when nobody knows the record, Overloaded when too many reads wait.
        """
        if not apply_pending:
            return _visible(await self._batcher.submit(resource))
        return await self._get_applied(resource)

    async def page(self, collection: str, *, after: str | None, limit: int) -> list[Record]:
        """Records of a collection by id, from the store only. Raises Transient or Rejected."""
        return await self._store_guard.call(lambda: self._store.page(collection, after=after, limit=limit))

    async def _process(self, resources: list[Resource]) -> list[Reading | BaseException]:
        # The ledger is asked first. What is settled between the two questions then shows as pending although the record
        # has it already; the other way round, it could be missing from both answers.
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
            return await self._last_known(resources, error)
        self._refresh(record for record in records if record is not None)
        return [Reading(record) for record in records]

    async def _last_known(self, resources: list[Resource], cause: Exception) -> list[Reading | BaseException]:
        if self._replicas is None:
            found = await self._cached(resources)
        else:
            found = await self._newest(resources, self._replicas)
        return [
            reading
            if reading is not None
            else Unavailable(f"the store cannot be asked, and the cache does not know {resource}: {cause}")
            for resource, reading in zip(resources, found, strict=True)
        ]

    async def _cached(self, resources: list[Resource]) -> list[Reading | None]:
        try:
            found: Sequence[Cached | None] = await self._cache_guard.call(lambda: self._cache.get(resources))
        except (Transient, Rejected):
            found = [None] * len(resources)
        return [_reading(each, replica=False) for each in found]

    async def _newest(self, resources: list[Resource], replicas: Replicas) -> list[Reading | None]:
        """The newer answers of the cache and a replica.

        What a replica has newer goes into the cache first, so that a later read that finds only the cache is not
        older than this one.
        """
        cached, copied = await asyncio.gather(self._cached(resources), self._replicated(resources, replicas))
        newest = [_newer(*pair) for pair in zip(cached, copied, strict=True)]
        await self._keep(
            [new for new, old in zip(newest, cached, strict=True) if new and _version(new) > _version(old)]
        )
        return newest

    async def _replicated(self, resources: list[Resource], replicas: Replicas) -> list[Reading | None]:
        try:
            found: Sequence[Cached | None] = await replicas.read(resources)
        except (Transient, Rejected):
            found = [None] * len(resources)
        return [_reading(each, replica=True) for each in found]

    async def _keep(self, readings: list[Reading]) -> None:
        records = [reading.record for reading in readings if reading.record is not None]
        if records:
            known_at = min(reading.cached_at or 0.0 for reading in readings)
            with suppress(Transient, Rejected):
                await self._cache_guard.call(lambda: self._cache.put(records, now=known_at))

    async def _get_applied(self, resource: Resource) -> Reading:
        # The ledger is asked first, so that what is settled between the two questions is in the record.
        (operations,) = await self._ledger_guard.call(lambda: self._ledger.waiting([resource]))
        try:
            known = await self._batcher.submit(resource)
        except Unavailable:
            if not (operations and operations[0].kind is Kind.CREATE):
                raise
            known = Reading(None, operations[-1].id)  # nothing was there before its creation, which is held too
        if not operations or (known.pending_known and known.pending is None):
            return _visible(known)
        record = reduce(_applied, _to_come(known.record, operations), known.record)
        return _visible(known._replace(record=record, pending=operations[-1].id, pending_known=True))


def _to_come(record: Record | None, operations: Sequence[Operation]) -> Sequence[Operation]:
    """The held operations that the record does not show yet. One that was applied is held until it is settled."""
    made = [number for number, operation in enumerate(operations, 1) if _has_made(record, operation)]
    return operations[made[-1] :] if made else operations


def _has_made(record: Record | None, operation: Operation) -> bool:
    """Whether the operation made the record what it is: same data, and same time as precisely as stores keep it."""
    if record is None or not isclose(record.updated_at, operation.accepted_at, rel_tol=0, abs_tol=_SAME_TIME):
        return False
    return data_after(record, operation) == record.data


def _applied(record: Record | None, operation: Operation) -> Record | None:
    outcome = apply(record, replace(operation, origin=Origin.HELD))
    return outcome.record if isinstance(outcome, Applied) else record


def _reading(known: Cached | None, *, replica: bool) -> Reading | None:
    return None if known is None else Reading(known.record, cached_at=known.stored_at, replica=replica)


def _newer(cached: Reading | None, copied: Reading | None) -> Reading | None:
    """The one with the higher version; of the same version, the one that was known to be current later."""
    return max(cached, copied, key=lambda each: (_version(each), (each and each.cached_at) or 0.0))


def _version(reading: Reading | None) -> int:
    return reading.record.version if reading is not None and reading.record is not None else 0


def _visible(reading: Reading) -> Reading:
    deleted = reading.record is not None and reading.record.deleted
    return reading._replace(record=None) if deleted else reading
