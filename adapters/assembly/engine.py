"""The engine of a process, over its servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import NamedTuple, TypedDict

from holdfast.clock import system_clock
from holdfast.operations.backlog import BacklogView
from holdfast.operations.batch import BatchOptions
from holdfast.operations.guard import Guard
from holdfast.operations.jobs import Jobs
from holdfast.operations.model import Resource
from holdfast.operations.pace import PaceOptions
from holdfast.operations.ports import Ledger, Ring, Store
from holdfast.operations.read import Reader
from holdfast.operations.refresh import CacheRefresher
from holdfast.operations.replay import Replayer, ReplayOptions
from holdfast.operations.sweep import Sweeper
from holdfast.operations.write import WriteOptions, Writer

from ..crash_points import with_points
from ..fallback_doorbell import FallbackDoorbell
from ..local_doorbell import LocalDoorbell
from ..metrics import Metrics
from ..settings import Settings
from .guards import Guards
from .servers import Servers

# Of a backup sweeper: pruning is the sweeper's business, unless there is none for long.
_BACKUP_PRUNE_INTERVAL = 900.0


class Engine(NamedTuple):
    """The flows of a process.

    sweeper: of a sweeper process. backup: of an API process, in case no sweeper runs.
    flush:   returns when the cache has been told all that it is to be told.
    close:   ends the doorbells.
    """

    writer: Writer
    reader: Reader
    jobs: Jobs
    replayer: Replayer
    sweeper: Sweeper
    backup: Sweeper
    backlog: BacklogView
    flush: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


class _Ports(TypedDict):
    """What all flows need."""

    store: Store
    store_guard: Guard
    ledger: Ledger
    ledger_guard: Guard


class _Bells(NamedTuple):
    """offer: tell without waiting. sweep, backup: what the sweeper of this role rings."""

    offer: Callable[[Iterable[Resource]], None]
    sweep: Ring
    backup: Ring
    close: Callable[[], Awaitable[None]]


def make_engine(settings: Settings, servers: Servers, guards: Guards, metrics: Metrics) -> Engine:
    ports = _Ports(store=servers.store, store_guard=guards.store, ledger=servers.ledger, ledger_guard=guards.ledger)
    refresher = CacheRefresher(servers.cache, guards.cache, clock=system_clock)
    refresh = refresher.offer
    replayer = Replayer(**ports, refresh=refresh, clock=system_clock, options=_replay(settings))
    backlog = BacklogView(servers.ledger, guards.ledger, clock=system_clock)
    bells = _bells(settings, servers, replayer, metrics)
    batches = BatchOptions(settings.batch_size, settings.batches_in_flight, settings.write_queue)
    writer = Writer(
        **ports,
        backlog=backlog,
        ring=bells.offer,
        refresh=refresh,
        clock=system_clock,
        options=WriteOptions(batches, settings.write_patience, strict=settings.ordering == "strict"),
    )
    reader = Reader(
        **ports,
        cache=servers.cache,
        cache_guard=guards.cache,
        refresh=refresh,
        replicas=servers.replicas,
        batches=batches,
    )
    sweeper = partial(Sweeper, **ports, clock=system_clock, keep_operations=settings.operation_retention)
    backup = sweeper(ring=bells.backup, interval=settings.backup_sweep_interval, prune_interval=_BACKUP_PRUNE_INTERVAL)
    return Engine(
        writer=writer if settings.crash_points is None else with_points(writer, "writer", settings.crash_points),
        reader=reader,
        jobs=Jobs(**ports, ring=bells.offer, clock=system_clock, batches=batches),
        replayer=replayer,
        sweeper=sweeper(ring=bells.sweep, interval=settings.sweep_interval, prune_interval=settings.prune_interval),
        backup=backup,
        backlog=backlog,
        flush=refresher.join,
        close=bells.close,
    )


def _bells(settings: Settings, servers: Servers, replayer: Replayer, metrics: Metrics) -> _Bells:
    here = LocalDoorbell(replayer.replay)
    workers = servers.doorbell
    if workers is None:
        ring = metrics.sweeping(here.ring)
        return _Bells(here.offer, ring, ring, here.close)
    fallback = FallbackDoorbell(
        workers.ring,
        metrics.replaying_here(here.ring),
        patience=settings.workers_silent_after,
        pause=4 * settings.sweep_interval,
    )

    async def close() -> None:
        await here.close()
        await workers.close()

    return _Bells(workers.offer, metrics.sweeping(fallback.ring), metrics.sweeping(workers.ring), close)


def _replay(settings: Settings) -> ReplayOptions:
    return ReplayOptions(
        lease=settings.lease_ttl,
        depth=settings.replay_depth,
        lanes=settings.replay_lanes,
        time_slice=settings.replay_slice,
        max_attempts=settings.max_attempts,
        dead=settings.dead_policy,
        pace=PaceOptions(largest=settings.replay_batch, target=settings.replay_target, rest=settings.replay_rest),
    )
