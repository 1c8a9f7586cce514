"""The breakers around a process's servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from holdfast.backoff import Backoff
from holdfast.breaker import BreakerOptions, CircuitBreaker
from holdfast.events import Listener, fan_out
from holdfast.operations.guard import Guard, classify

from ..settings import BreakerSettings, Settings
from .outages import log_outage
from .servers import Servers


class Guards(NamedTuple):
    """The guard of each server that the engine calls."""

    store: Guard
    ledger: Guard
    cache: Guard


def make_guards(settings: Settings, servers: Servers, listener: Listener) -> Guards:
    def guard(name: str, options: BreakerSettings, probe: Callable[[], Awaitable[None]], timeout: float) -> Guard:
        told = fan_out(listener, lambda event: log_outage(event, breaker))
        breaker = CircuitBreaker(name, _options(options), classify=classify, listener=told)
        return Guard(breaker, probe, timeout=timeout, listener=listener)

    return Guards(
        guard("store", settings.store_breaker, servers.store.ping, settings.store_timeout),
        guard("ledger", settings.ledger_breaker, servers.ledger.ping, settings.ledger_timeout),
        guard("cache", settings.cache_breaker, servers.cache.ping, settings.cache_timeout),
    )


def _options(settings: BreakerSettings) -> BreakerOptions:
    return BreakerOptions(
        window_size=settings.window_size,
        minimum_calls=settings.minimum_calls,
        failure_rate=settings.failure_rate,
        slow_call_duration=settings.slow_call,
        slow_call_rate=settings.slow_call_rate,
        open_duration=Backoff(base=settings.open, cap=settings.open_max, jitter="equal"),
        probe_lease=settings.probe_lease,
    )
