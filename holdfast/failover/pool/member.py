"""An endpoint in a pool, with all that the pool knows of it. The pool's lock guards it."""

from __future__ import annotations

from ...breaker import CircuitBreaker, State
from ...clock import Clock
from ..attempts import ErrorNote
from ..tally import Estimate, Rolling
from .balancing.candidate import hash64
from .endpoint import Endpoint
from .health import CheckResult, Health, HealthCheck, HealthStatus, worst
from .outliers import Ejection, OutlierOptions


class Member:
    """An endpoint as its pool knows it.

    number: never used twice in a pool.
    source: the discovery that named it; empty if it was registered by hand.
    status: the worst of what checks found and its source reports.
    rank:   only the usable members of the lowest rank are asked.
    """

    def __init__(self, endpoint: Endpoint, number: int, source: str, clock: Clock) -> None:
        self.number = number
        self.source = source
        self.token = hash64(endpoint.id)
        self.in_flight = 0
        self.credit = 0.0
        self.half_life = 60.0
        self.health = Health()
        self.last_check: CheckResult | None = None
        self.ejection = Ejection()
        self.ejected = False
        self.breaker: CircuitBreaker | None = None
        self.counts = Rolling()
        self.last_error: ErrorNote | None = None
        self._estimate = Estimate()
        self._clock = clock
        self._now = clock.monotonic
        self.describe(endpoint)
        self.registered_at = self.updated_at

    def describe(self, endpoint: Endpoint) -> None:
        """Take in a new description of the endpoint at the same address."""
        self.endpoint = endpoint
        self.updated_at = self._clock.time()
        self._settle()

    def usable(self) -> bool:
        """Whether it may be asked."""
        if self.ejected or self.status is HealthStatus.UNHEALTHY:
            return False
        return self.breaker is None or self.breaker.state not in (State.OPEN, State.ISOLATED)

    def recent(self) -> Estimate:
        """How calls went of late, as of now."""
        return self._estimate.decayed(self._now(), self.half_life)

    def checked(self, result: CheckResult, check: HealthCheck) -> None:
        """Take in what a check found."""
        self.last_check = result
        self.health = self.health.after(result.status, check)
        self._settle()

    def learn(self, duration: float, *, failed: bool) -> None:
        """Take in how a call went."""
        self._estimate = self._estimate.with_call(self._now(), self.half_life, duration, failed=failed)
        self.ejection = self.ejection.failed() if failed else self.ejection.succeeded()

    def eject(self, options: OutlierOptions) -> None:
        self.ejected = True
        self.ejection = self.ejection.begun(options, self._now())

    def restore(self) -> None:
        """End its ejection; it starts afresh."""
        self.ejected = False
        self._estimate = Estimate()

    def _settle(self) -> None:
        """Renew what follows from the endpoint and its health."""
        self.status = worst(self.health.status, self.endpoint.reported)
        self.rank = (self.status is HealthStatus.DEGRADED, self.endpoint.priority)
