"""What there is to see of a pool. Counts, rates and times are of the last 24 hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...breaker import Snapshot
from ..attempts import ErrorNote
from .endpoint import Endpoint
from .health import CheckResult, HealthStatus
from .member import Member


@dataclass(frozen=True, slots=True)
class EndpointStats:
    """How one endpoint is doing.

    source:                the discovery that named it; empty when it was registered by hand.
    registered_at:         since when it is in the pool at this address, seconds since the epoch.
    updated_at:            when what it is said to be last changed.
    usable:                whether it may be asked now.
    ejected_for:           seconds until it may come back; 0 when it is not out.
    success_rate:          from 0 to 1; None without calls.
    average_response_time: seconds; None without calls.
    last_check:            what the latest check found, if there was one.

    >>> from holdfast.failover import EndpointPool
    >>> stats: EndpointStats = EndpointPool("search", [Endpoint("a", "10.0.0.1", 9200)]).stats().endpoints["a"]
    >>> stats.usable, stats.calls
    (True, 0)
    """

    endpoint: Endpoint
    source: str
    registered_at: float
    updated_at: float
    usable: bool
    status: HealthStatus
    ejected_for: float
    in_flight: int
    calls: int
    failed: int
    success_rate: float | None
    average_response_time: float | None
    last_error: ErrorNote | None
    last_check: CheckResult | None
    breaker: Snapshot | None


@dataclass(frozen=True, slots=True)
class PoolStats:
    """How the pool is doing. usable: endpoints that may be asked now.

    >>> from holdfast.failover import EndpointPool
    >>> stats: PoolStats = EndpointPool("search", [Endpoint("a", "10.0.0.1", 9200)]).stats()
    >>> stats.usable
    1
    """

    name: str
    usable: int
    in_flight: int
    calls: int
    failed: int
    endpoints: Mapping[str, EndpointStats]

    @classmethod
    def of(cls, name: str, endpoints: Mapping[str, EndpointStats]) -> PoolStats:
        stats = endpoints.values()
        return cls(
            name=name,
            usable=sum(each.usable for each in stats),
            in_flight=sum(each.in_flight for each in stats),
            calls=sum(each.calls for each in stats),
            failed=sum(each.failed for each in stats),
            endpoints=endpoints,
        )


def endpoint_stats(member: Member, now: float) -> EndpointStats:
    counts = member.counts.total(now)
    return EndpointStats(
        endpoint=member.endpoint,
        source=member.source,
        registered_at=member.registered_at,
        updated_at=member.updated_at,
        usable=member.usable(),
        status=member.status,
        ejected_for=max(0.0, member.ejection.until - now) if member.ejected else 0.0,
        in_flight=member.in_flight,
        calls=counts.calls,
        failed=counts.failed,
        success_rate=counts.success_rate,
        average_response_time=counts.average_duration,
        last_error=member.last_error,
        last_check=member.last_check,
        breaker=member.breaker.snapshot() if member.breaker is not None else None,
    )
