"""Settings in, system out."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

from holdfast.backoff import Backoff
from holdfast.breaker import BreakerOptions, CircuitBreaker
from holdfast.clock import system_clock
from holdfast.events import Listener, fan_out
from holdfast.health import Check
from holdfast.operations.backlog import BacklogView
from holdfast.operations.batch import BatchOptions
from holdfast.operations.guard import Guard, classify
from holdfast.operations.jobs import Jobs
from holdfast.operations.model import Resource
from holdfast.operations.pace import PaceOptions
from holdfast.operations.ports import Cache, Ledger, Pool, Replicas, Store
from holdfast.operations.read import Reader
from holdfast.operations.refresh import CacheRefresher
from holdfast.operations.replay import Replayer, ReplayOptions
from holdfast.operations.sweep import Sweeper
from holdfast.operations.write import WriteOptions, Writer

from ..crash_points import with_points
from ..fallback_doorbell import FallbackDoorbell
from ..local_doorbell import LocalDoorbell
from ..metrics import Metrics, timed, watched
from ..settings import BreakerSettings, Settings
from ..telemetry import telemetry_of
from .outages import log_outage
from .servers import Servers, make_servers
from .system import Role, System

# Of a backup sweeper: pruning is the sweeper's business, unless there is none for long.
_BACKUP_PRUNE_INTERVAL = 900.0

Ring = Callable[[Sequence[Resource]], Awaitable[None]]


class _Guards(NamedTuple):
    store: Guard
    ledger: Guard
    cache: Guard


class _Bells(NamedTuple):
    """offer: tell without waiting. sweep, backup: what the sweeper of this role rings."""

    offer: Callable[[Iterable[Resource]], None]
    sweep: Ring
    backup: Ring
    close: Callable[[], Awaitable[None]]


def assemble(settings: Settings, role: Role = Role.API) -> System:
    """Everything that a process of any role needs, made for one event loop; connects to nothing.

    In the memory profile the API is the only role, and replays by itself. role: as which its traces show it.
    """
    metrics = Metrics()
    telemetry = telemetry_of(role, settings.trace_ratio, os.environ)
    listener = telemetry.listener(metrics.listen)
    servers = make_servers(settings, listener, telemetry)
    servers = _measured(servers, metrics)
    guards = _guards(settings, servers, listener)
    refresher = CacheRefresher(servers.cache, guards.cache, clock=system_clock)
    shared: dict[str, Any] = {
        "store": servers.store,
        "store_guard": guards.store,
        "ledger": servers.ledger,
        "ledger_guard": guards.ledger,
    }
    replayer = Replayer(**shared, refresh=refresher.offer, clock=system_clock, options=_replay(settings))
    bells = _bells(settings, servers, replayer, metrics)
    backlog = BacklogView(servers.ledger, guards.ledger, clock=system_clock)
    batches = _batches(settings)
    sweeper, backup = _sweepers(settings, shared, bells)
    writer = Writer(
        **shared,
        backlog=backlog,
        ring=bells.offer,
        refresh=refresher.offer,
        clock=system_clock,
        options=WriteOptions(batches, settings.write_patience, strict=settings.ordering == "strict"),
    )
    breakers = _breakers(guards, servers)
    metrics.show(breakers, _pools(servers))
    return System(
        writer=writer if settings.crash_points is None else with_points(writer, "writer", settings.crash_points),
        reader=Reader(
            **shared,
            cache=servers.cache,
            cache_guard=guards.cache,
            refresh=refresher.offer,
            replicas=servers.replicas,
            batches=batches,
        ),
        jobs=Jobs(**shared, ring=bells.offer, clock=system_clock, batches=batches),
        replayer=replayer,
        sweeper=sweeper,
        breakers=breakers,
        metrics=metrics,
        checks=_checks(settings, servers),
        loops={
            Role.API: [
                ("backlog", backlog.run),
                ("loop lag", metrics.watch_the_loop),
                ("sweep", sweeper.run) if servers.doorbell is None else ("backup sweep", backup.run),
            ],
            Role.SWEEPER: [("sweep", sweeper.run), ("loop lag", metrics.watch_the_loop)],
        },
        stats=lambda: guards.ledger.call(servers.ledger.stats),
        flush=refresher.join,
        closers=[
            bells.close,
            *(guard.close for guard in guards),
            servers.store.close,
            servers.ledger.close,
            servers.cache.close,
            *([] if servers.replicas is None else [servers.replicas.close]),
            telemetry.close,
        ],
        grace=settings.shutdown_grace,
        traced=telemetry.http,
    )


def _measured(servers: Servers, metrics: Metrics) -> Servers:
    replicas = servers.replicas
    return servers._replace(
        replicas=None if replicas is None else timed(replicas, Replicas, "replicas", metrics.calls),
        store=timed(servers.store, Store, "store", metrics.calls),
        ledger=timed(servers.ledger, Ledger, "ledger", metrics.calls),
        cache=watched(timed(servers.cache, Cache, "cache", metrics.calls), metrics.cached),
    )


def _pools(servers: Servers) -> dict[str, Callable[[], Pool]]:
    """Of those that have one: what is in memory has not."""
    ports = {"store": servers.store, "ledger": servers.ledger, "cache": servers.cache}
    return {name: port.pool for name, port in ports.items() if hasattr(port, "pool")}


def _guards(settings: Settings, servers: Servers, listener: Listener) -> _Guards:
    def guard(name: str, options: BreakerSettings, probe: Callable[[], Awaitable[None]], timeout: float) -> Guard:
        told = fan_out(listener, lambda event: log_outage(event, breaker))
        breaker = CircuitBreaker(name, _breaker_options(options), classify=classify, listener=told)
        return Guard(breaker, probe, timeout=timeout, listener=listener)

    return _Guards(
        guard("store", settings.store_breaker, servers.store.ping, settings.store_timeout),
        guard("ledger", settings.ledger_breaker, servers.ledger.ping, settings.ledger_timeout),
        guard("cache", settings.cache_breaker, servers.cache.ping, settings.cache_timeout),
    )


def _breaker_options(options: BreakerSettings) -> BreakerOptions:
    return BreakerOptions(
        window_size=options.window_size,
        minimum_calls=options.minimum_calls,
        failure_rate=options.failure_rate,
        slow_call_duration=options.slow_call,
        slow_call_rate=options.slow_call_rate,
        open_duration=Backoff(base=options.open, cap=options.open_max, jitter="equal"),
        probe_lease=options.probe_lease,
    )


def _breakers(guards: _Guards, servers: Servers) -> dict[str, CircuitBreaker]:
    known = {guard.breaker.name: guard.breaker for guard in guards}
    return known if servers.doorbell is None else known | {"broker": servers.doorbell.breaker}


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


def _sweepers(settings: Settings, shared: dict[str, Any], bells: _Bells) -> tuple[Sweeper, Sweeper]:
    common = {**shared, "clock": system_clock, "keep_operations": settings.operation_retention}
    return (
        Sweeper(**common, ring=bells.sweep, interval=settings.sweep_interval, prune_interval=settings.prune_interval),
        Sweeper(
            **common,
            ring=bells.backup,
            interval=settings.backup_sweep_interval,
            prune_interval=_BACKUP_PRUNE_INTERVAL,
        ),
    )


def _batches(settings: Settings) -> BatchOptions:
    return BatchOptions(settings.batch_size, settings.batches_in_flight, settings.write_queue)


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


def _checks(settings: Settings, servers: Servers) -> list[Check]:
    checks = [
        Check("store", servers.store.ping, timeout=settings.store_timeout),
        Check("ledger", servers.ledger.ping, timeout=settings.ledger_timeout),
        Check("cache", servers.cache.ping, timeout=settings.cache_timeout),
    ]
    if servers.doorbell is not None:
        checks.append(Check("broker", servers.doorbell.ping, timeout=settings.broker_timeout * 2))
    return checks
