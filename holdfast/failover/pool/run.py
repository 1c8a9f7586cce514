"""One request to a pool, on its way from endpoint to endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...clock import Clock
from ...deadline import remaining
from ..errors import AllEndpointsFailed, FailOverOn, NoCandidate
from .lease import FailedAttempt, Lease, PoolExecution
from .options import PoolOptions

T = TypeVar("T")


class PoolRun:
    """One request: which endpoint is next, and when to stop.

    lease: leases an endpoint whose number is not in the given set, and adds it there; raises NoCandidate.
    """

    def __init__(
        self,
        pool: str,
        lease: Callable[[set[int]], Lease],
        options: PoolOptions,
        fail_over_on: FailOverOn,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._lease = lease
        self._options = options
        self._fail_over_on = fail_over_on
        self._clock = clock
        self._tried: set[int] = set()
        self._failures: list[FailedAttempt] = []
        self._began = self._called = clock.monotonic()

    def lease(self) -> Lease:
        """The next endpoint; once all have been tried, they are tried again. Raises when there is none."""
        try:
            lease = self._next()
        except NoCandidate:
            if self._failures:
                raise self._all_failed() from None
            raise
        self._called = self._clock.monotonic()
        return lease

    def done(self, lease: Lease, result: T) -> PoolExecution[T]:
        lease.success()
        failures = tuple(self._failures)
        duration = self._clock.monotonic() - self._began
        return PoolExecution(lease.endpoint, result, len(failures) + 1, duration, failures)

    def failed(self, lease: Lease, error: Exception) -> float:
        """Seconds to wait before the next attempt; raises when there is to be none."""
        lease.failure(error)
        duration = self._clock.monotonic() - self._called
        self._failures.append(FailedAttempt(lease.endpoint, error, duration))
        if not self._fail_over_on(error):
            raise error
        delay = self._options.delay(len(self._failures))
        if len(self._failures) >= self._options.attempts or delay >= remaining(self._clock):
            raise self._all_failed()
        return delay

    def _next(self) -> Lease:
        try:
            return self._lease(self._tried)
        except NoCandidate:
            if not self._tried:
                raise
        self._tried.clear()
        return self._lease(self._tried)

    def _all_failed(self) -> AllEndpointsFailed:
        errors = [failure.error for failure in self._failures]
        error = AllEndpointsFailed(f"no endpoint of {self._pool!r} could do it", errors)
        error.failures = tuple(self._failures)
        return error
