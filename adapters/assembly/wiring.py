"""Settings in, system out."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence

from holdfast.breaker import CircuitBreaker
from holdfast.health import Check
from holdfast.operations.ports import Cache, Ledger, Pool, Replicas, Store

from ..metrics import Metrics, timed, watched
from ..settings import Settings
from ..telemetry import telemetry_of
from .engine import Engine, make_engine
from .guards import Guards, make_guards
from .servers import Servers, make_servers
from .system import Loop, Role, System


def assemble(settings: Settings, role: Role = Role.API) -> System:
    """Everything that a process of any role needs, made for one event loop; connects to nothing.

    In the memory profile the API is the only role, and replays by itself. role: as which its traces show it.
    """
    metrics = Metrics()
    telemetry = telemetry_of(role, settings.trace_ratio, os.environ)
    listener = telemetry.listener(metrics.listen)
    servers = _measured(make_servers(settings, listener, telemetry), metrics)
    guards = make_guards(settings, servers, listener)
    engine = make_engine(settings, servers, guards, metrics)
    breakers = _breakers(guards, servers)
    metrics.show(breakers, _pools(servers))
    return System(
        writer=engine.writer,
        reader=engine.reader,
        jobs=engine.jobs,
        replayer=engine.replayer,
        sweeper=engine.sweeper,
        breakers=breakers,
        metrics=metrics,
        checks=_checks(settings, servers),
        loops=_loops(engine, servers, metrics),
        ledger_stats=lambda: guards.ledger.call(servers.ledger.stats),
        flush=engine.flush,
        closers=[engine.close, *(guard.close for guard in guards), *_closers(servers), telemetry.close],
        grace=settings.shutdown_grace,
        traced=telemetry.http,
    )


def _measured(servers: Servers, metrics: Metrics) -> Servers:
    replicas = servers.replicas
    return servers._replace(
        replicas=None if replicas is None else _watched(replicas, metrics),
        store=timed(servers.store, Store, "store", metrics.calls),
        ledger=timed(servers.ledger, Ledger, "ledger", metrics.calls),
        cache=watched(timed(servers.cache, Cache, "cache", metrics.calls), "get", metrics.cached),
    )


def _watched(replicas: Replicas, metrics: Metrics) -> Replicas:
    return watched(timed(replicas, Replicas, "replicas", metrics.calls), "read", metrics.replicated)


def _breakers(guards: Guards, servers: Servers) -> dict[str, CircuitBreaker]:
    known = {guard.breaker.name: guard.breaker for guard in guards}
    return known if servers.doorbell is None else known | {"broker": servers.doorbell.breaker}


def _pools(servers: Servers) -> dict[str, Callable[[], Pool]]:
    """The connection pools, by name; adapters in memory have none."""
    ports = {"store": servers.store, "ledger": servers.ledger, "cache": servers.cache}
    return {name: port.pool for name, port in ports.items() if hasattr(port, "pool")}


def _checks(settings: Settings, servers: Servers) -> list[Check]:
    checks = [
        Check("store", servers.store.ping, timeout=settings.store_timeout),
        Check("ledger", servers.ledger.ping, timeout=settings.ledger_timeout),
        Check("cache", servers.cache.ping, timeout=settings.cache_timeout),
    ]
    if servers.doorbell is not None:
        checks.append(Check("broker", servers.doorbell.ping, timeout=settings.broker_timeout * 2))
    return checks


def _loops(engine: Engine, servers: Servers, metrics: Metrics) -> Mapping[Role, Sequence[tuple[str, Loop]]]:
    """What each role does in the background; a worker is told what to do by doorbells."""
    sweep: tuple[str, Loop] = ("sweep", engine.sweeper.run)
    backup: tuple[str, Loop] = ("backup sweep", engine.backup.run)
    lag: tuple[str, Loop] = ("loop lag", metrics.watch_the_loop)
    return {
        Role.API: [("backlog", engine.backlog.run), lag, sweep if servers.doorbell is None else backup],
        Role.SWEEPER: [sweep, lag],
    }


def _closers(servers: Servers) -> list[Callable[[], Awaitable[None]]]:
    ports = (servers.store, servers.ledger, servers.cache, servers.replicas)
    return [port.close for port in ports if port is not None]
