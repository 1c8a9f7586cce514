"""The whole engine in one process on memory adapters, each behind faults that a test turns on, and a clock it moves."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any

from adapters.memory_cache import MemoryCache
from adapters.memory_ledger import MemoryLedger
from adapters.memory_store import MemoryStore
from holdfast.breaker import BreakerOptions, CircuitBreaker
from holdfast.operations.backlog import BacklogView
from holdfast.operations.guard import Guard, classify
from holdfast.operations.identity import fingerprint, keyed_operation_id, new_operation_id
from holdfast.operations.jobs import Jobs
from holdfast.operations.model import Kind, Operation, Precondition, Record, Resource
from holdfast.operations.ports import Cache, Ledger, Store
from holdfast.operations.read import Reader
from holdfast.operations.refresh import CacheRefresher
from holdfast.operations.replay import Replayer, ReplayOptions
from holdfast.operations.sweep import Sweeper
from holdfast.operations.write import WriteOptions, Writer
from holdfast.testing.clock import FakeClock
from holdfast.testing.faults import Faults

_BREAKER = BreakerOptions(window="count", window_size=10, minimum_calls=5, failure_rate=0.3, open_duration=1.0)


class World:
    """One process with its engine; `peer()` is another process on the same servers.

    servers, clock: in place of those that it would make, or share.
    """

    def __init__(
        self,
        *,
        write: WriteOptions | None = None,
        replay: ReplayOptions | None = None,
        shared: World | None = None,
        servers: tuple[Store, Ledger, Cache] | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.clock = clock or (shared.clock if shared else FakeClock())
        self.servers = servers or (
            shared.servers if shared else (MemoryStore(clock=self.clock), MemoryLedger(clock=self.clock), MemoryCache())
        )
        store, ledger, cache = self.servers
        self.store, self.ledger, self.cache = Faults(store), Faults(ledger), Faults(cache)
        self.rung: list[Resource] = []
        self.store_guard = self._guard("store", self.store.port.ping)
        self.ledger_guard = self._guard("ledger", self.ledger.port.ping)
        self.cache_guard = self._guard("cache", self.cache.port.ping)
        self.refresher = CacheRefresher(self.cache.port, self.cache_guard, clock=self.clock, pause=0)
        self.backlog = BacklogView(self.ledger.port, self.ledger_guard, clock=self.clock)
        stores: dict[str, Any] = {
            "store": self.store.port,
            "store_guard": self.store_guard,
            "ledger": self.ledger.port,
            "ledger_guard": self.ledger_guard,
        }
        self.writer = Writer(
            **stores,
            backlog=self.backlog,
            ring=self.rung.extend,
            refresh=self.refresher.offer,
            clock=self.clock,
            options=write,
        )
        self.reader = Reader(
            **stores, cache=self.cache.port, cache_guard=self.cache_guard, refresh=self.refresher.offer
        )
        self.jobs = Jobs(**stores, ring=self.rung.extend, clock=self.clock)
        self.replayer = Replayer(**stores, refresh=self.refresher.offer, clock=self.clock, options=replay)
        self.sweeper = Sweeper(**stores, ring=self._ring, clock=self.clock)
        self._replay_options = replay

    def peer(self) -> World:
        """Another process: its own breakers, faults and memory of the backlog, the same servers and time."""
        return World(replay=self._replay_options, shared=self)

    async def record(self, resource: Resource) -> Record | None:
        """What really stands in the store, faults or not."""
        return (await self.servers[0].read([resource]))[0]

    def _guard(self, name: str, probe: Any) -> Guard:
        breaker = CircuitBreaker(name, _BREAKER, classify=classify, clock=self.clock)
        return Guard(breaker, probe, timeout=1.0, clock=self.clock)

    async def _ring(self, resources: Any) -> None:
        self.rung.extend(resources)


async def pass_time(world: World, seconds: float) -> None:
    """Move the clock, and let everybody whose time has come do what they do."""
    world.clock.advance(seconds)
    for _ in range(50):
        await asyncio.sleep(0)


_counter = itertools.count(1)


def operation(
    kind: Kind = Kind.REPLACE,
    resource: str = "notes/1",
    payload: dict[str, Any] | None = None,
    *,
    key: str | None = None,
    at: float | None = None,
    precondition: Precondition | None = None,
) -> Operation:
    """An operation as the edge would make it; each has a later `accepted_at` than the ones before."""
    if payload is None and kind is not Kind.DELETE:
        payload = {"text": "hello"}
    return Operation(
        id=keyed_operation_id("anonymous", key) if key else new_operation_id(),
        principal="anonymous",
        resource=Resource.parse(resource),
        kind=kind,
        payload=payload,
        fingerprint=fingerprint(kind, resource, repr(precondition), repr(payload).encode()),
        accepted_at=at if at is not None else 1_000_000.0 + next(_counter) / 1000,
        precondition=precondition,
        keyed=key is not None,
    )


def again(repeated: Operation) -> Operation:
    """The same request, sent again a little later."""
    return replace(repeated, accepted_at=repeated.accepted_at + 1.0)
