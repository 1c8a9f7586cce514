"""The counters of a process for Prometheus, fed by the events that the library tells and by what it measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from holdfast.breaker import CircuitBreaker
from holdfast.clock import Clock, system_clock
from holdfast.events import Event
from holdfast.operations.model import Resource
from holdfast.operations.ports import Cached, LedgerStats, Pool, Ring

from . import families
from .collectors import Breakers, Build, LedgerFacts, Pools

_BETWEEN_LOOKS_AT_THE_LOOP = 0.25


class Metrics:
    """One registry for each process; others may add their own to it."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._changes = families.BREAKER_CHANGES.counter(registry)
        self._rejected = families.BREAKER_REJECTED.counter(registry)
        self._keys = families.DOORBELL_KEYS.counter(registry)
        self._swept = families.SWEPT.counter(registry)
        self._replayed_here = families.REPLAYED_HERE.counter(registry)
        self._ledger_lost = families.LEDGER_LOST.counter(registry)
        self._events = families.EVENTS.counter(registry)
        self._cache_reads = families.CACHE_READS.counter(registry)
        self._cache_ages = families.CACHE_AGES.histogram(registry)
        self._replica_reads = families.REPLICA_READS.counter(registry)
        self._replica_ages = families.REPLICA_AGES.histogram(registry)
        self._lag = families.LOOP_LAG.histogram(registry)
        self.calls = families.CALL_DURATION.histogram(registry)
        self.runs = families.REPLAY_RUN.histogram(registry)
        self._facts = LedgerFacts()
        for collector in (self._facts, Build()):
            registry.register(collector)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

    def listen(self, event: Event) -> None:
        """A listener: counts what it knows by its own name, and the rest by the event's."""
        attributes = event.attributes
        match event.name:
            case "breaker.state_changed":
                self._changes.labels(event.source, str(attributes["to"])).inc()
            case "breaker.rejected":
                self._rejected.labels(event.source).inc()
            case "doorbell.rung" | "doorbell.lost":
                self._keys.labels(event.name.partition(".")[2]).inc(float(attributes["keys"]))
            case "ledger.lost":
                self._ledger_lost.inc()
            case _:
                self._events.labels(event.name, event.source).inc()

    def show(self, breakers: Mapping[str, CircuitBreaker], pools: Mapping[str, Callable[[], Pool]]) -> None:
        """Have their state told at each scrape."""
        self.registry.register(Breakers(breakers))
        self.registry.register(Pools(pools))

    def cached(self, found: Sequence[Cached | None]) -> None:
        """The cache was asked instead of the store, and this is what it knew."""
        _count(found, self._cache_reads, self._cache_ages)

    def replicated(self, found: Sequence[Cached | None]) -> None:
        """A replica was asked instead of the store, and this is what it had."""
        _count(found, self._replica_reads, self._replica_ages)

    def sweeping(self, ring: Ring) -> Ring:
        """The ring of a sweep, counted."""
        return _counting(ring, self._swept)

    def replaying_here(self, ring: Ring) -> Ring:
        """The replay in place of the workers, counted."""
        return _counting(ring, self._replayed_here)

    async def watch_the_loop(self, clock: Clock = system_clock) -> None:
        """Measure for ever how late the event loop is."""
        while True:
            due = clock.monotonic() + _BETWEEN_LOOKS_AT_THE_LOOP
            await clock.sleep(_BETWEEN_LOOKS_AT_THE_LOOP)
            self._lag.observe(max(0.0, clock.monotonic() - due))

    def render(self, backlog: LedgerStats | None) -> bytes:
        """All of the registry as text, to be sent as `content_type`. backlog: as it is now, None when not known."""
        self._facts.now = backlog
        return generate_latest(self.registry)


def _count(found: Sequence[Cached | None], reads: Counter, ages: Histogram) -> None:
    hits = [each for each in found if each is not None]
    reads.labels("hit").inc(len(hits))
    reads.labels("miss").inc(len(found) - len(hits))
    for hit in hits:
        ages.observe(max(0.0, time.time() - hit.stored_at))


class _Counter(Protocol):
    def inc(self, amount: float = 1, /) -> Any: ...


def _counting(ring: Ring, counter: _Counter) -> Ring:
    async def counted(resources: Sequence[Resource]) -> None:
        counter.inc(len(resources))
        await ring(resources)

    return counted
