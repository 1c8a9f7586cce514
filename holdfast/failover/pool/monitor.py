"""Active health: every endpoint of a pool that has a check is looked at, again and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextvars import Context
from typing import Self

from ...checks import require
from ...joining import stop
from ..errors import NotFound
from .endpoint import Endpoint
from .endpoint_pool import EndpointPool
from .health import CheckResult, HealthCheck, HealthStatus
from .probes import probe

# Seconds between looks at who belongs to the pool.
_LOOK = 1.0


class HealthMonitor:
    """Checks the endpoints of a pool while it runs, on the event loop that it was started on.

    Each is checked as soon as it is seen, then at its interval, a tenth more or less so that checks do not bunch.
    Who comes, goes or moves is noticed within a second. No endpoint is checked twice at the same time.

    concurrency: checks at the same time, at least 1.
    rng:         evenly distributed numbers in [0, 1).

    >>> async def well(endpoint):
    ...     return True
    >>> pool = EndpointPool("search", [Endpoint("a", "10.0.0.1", 9200, health_check=HealthCheck(how=well))])
    >>> asyncio.run(HealthMonitor(pool).check_all())
    {'a': <HealthStatus.HEALTHY: 'healthy'>}
    """

    def __init__(self, pool: EndpointPool, *, concurrency: int = 32, rng: Callable[[], float] = random.random) -> None:
        require(concurrency >= 1, "concurrency", "at least 1", concurrency)
        self._pool = pool
        self._clock = pool.clock
        self._slots = asyncio.Semaphore(concurrency)
        self._rng = rng
        self._due: dict[str, tuple[str, float]] = {}
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    def start(self) -> None:
        """Begin; nothing if it has begun."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop().create_task(self._run(), context=Context())

    async def stop(self) -> None:
        """Return when no check runs any more; it may be started again. Nothing if it has not begun."""
        loop, self._loop = self._loop, None
        if loop is not None:
            await stop([loop])
            await stop(self._checks.values())
            self._due.clear()

    async def check(self, endpoint_id: str) -> CheckResult:
        """Check one endpoint now, whether the monitor runs or not; NotFound if there is none with a check."""
        for endpoint, check in self._pool.checks():
            if endpoint.id == endpoint_id:
                return await self._check(endpoint, check)
        raise NotFound(f"pool {self._pool.name!r} has no endpoint {endpoint_id!r} with a health check")

    async def check_all(self) -> dict[str, HealthStatus]:
        """Check all endpoints now that have a check, and return the status of each after that."""
        checks = self._pool.checks()
        await asyncio.gather(*(self._check(endpoint, check) for endpoint, check in checks))
        return {endpoint.id: self._pool.status(endpoint.id) for endpoint, _ in checks}

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._begin_due())

    def _begin_due(self) -> float:
        """Begin the checks whose time has come; seconds until there may be more to do."""
        now, wait = self._clock.monotonic(), _LOOK
        checks = self._pool.checks()
        self._due = {endpoint.id: self._due_at(endpoint, check, now) for endpoint, check in checks}
        for endpoint, check in checks:
            left = self._due[endpoint.id][1] - now
            if left <= 0 and endpoint.id not in self._checks:
                self._begin(endpoint, check)
            # When a check that is under way will be due again is not known yet, but not before this.
            wait = min(wait, left if left > 0 else check.interval / 2)
        return wait

    def _due_at(self, endpoint: Endpoint, check: HealthCheck, now: float) -> tuple[str, float]:
        url, due = self._due.get(endpoint.id, ("", now))
        return endpoint.url, min(due, now + check.interval * 1.1) if url == endpoint.url else now

    def _begin(self, endpoint: Endpoint, check: HealthCheck) -> None:
        task = asyncio.get_running_loop().create_task(self._check_and_plan(endpoint, check), context=Context())
        self._checks[endpoint.id] = task

    async def _check_and_plan(self, endpoint: Endpoint, check: HealthCheck) -> None:
        try:
            await self._check(endpoint, check)
        finally:
            del self._checks[endpoint.id]
            spread = check.interval * (0.9 + 0.2 * self._rng())
            self._due[endpoint.id] = (endpoint.url, self._clock.monotonic() + spread)

    async def _check(self, endpoint: Endpoint, check: HealthCheck) -> CheckResult:
        async with self._slots:
            result = await probe(endpoint, check, self._clock)
        self._pool.report(endpoint, check, result)
        return result
