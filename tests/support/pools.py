"""A pool of endpoints on a fake clock."""

from __future__ import annotations

from collections import Counter
from typing import Any

from holdfast.events import Event
from holdfast.failover import (
    Caller,
    CheckResult,
    Endpoint,
    EndpointPool,
    HealthCheck,
    HealthStatus,
    OutlierOptions,
    PoolOptions,
)
from holdfast.testing.clock import FakeClock

CHECK = HealthCheck(healthy_threshold=2, unhealthy_threshold=3)


def endpoint(name: str, **more: Any) -> Endpoint:
    return Endpoint(name, "10.0.0.1", 1000 + ord(name[0]), **more)


class World:
    """A pool on a fake clock whose endpoints do as the test says."""

    def __init__(self, *endpoints: Endpoint, **options: Any) -> None:
        self.clock = FakeClock()
        self.events: list[Event] = []
        self.errors: dict[str, Exception] = {}
        self.pool = EndpointPool(
            "x", endpoints, options=PoolOptions(**options), clock=self.clock, listener=self.events.append
        )

    def call(self, endpoint: Endpoint) -> str:
        self.clock.advance(0.01)
        if endpoint.id in self.errors:
            raise self.errors[endpoint.id]
        return endpoint.id

    def answers(self, calls: int = 10) -> Counter[str]:
        return Counter(self.pool.execute_with_failover(self.call).result for _ in range(calls))

    def selected(self, calls: int = 10, caller: Caller | None = None) -> set[str]:
        return {self.pool.select(caller or Caller()).id for _ in range(calls)}

    def check(self, name: str, *results: HealthStatus) -> None:
        for result in results:
            self.pool.report(self.pool.get(name), CHECK, CheckResult(result, 0.1, "as the test says"))

    def told(self, name: str) -> list[dict[str, Any]]:
        return [dict(event.attributes) for event in self.events if event.name == name]


GOOD, POOR, BAD = HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY


NEVER = OutlierOptions(consecutive_failures=10**9)


def two(**options: Any) -> World:
    return World(endpoint("a"), endpoint("b"), **options)
