"""The options of a pool."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ...backoff import Backoff
from ...breaker import BreakerOptions
from ...checks import require
from ..errors import Invalid
from .health import HealthCheck
from .outliers import OutlierOptions


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """How calls are made and endpoints are judged.

    attempts:        calls in all for one request, at least 1, each on another endpoint while there are others.
    backoff:         waits between the attempts; None goes on at once.
    timeout:         seconds for each attempt, more than 0; infinity for none.
    breaker:         one for each endpoint; None for none.
    outliers:        when those that fail are taken out for a while; None for never.
    health_check:    how endpoints are checked that do not say so themselves; None for not at all.
    panic_threshold: fraction from 0 to 1: when fewer of the endpoints than that can be asked, all are asked,
                     since to trust the checks would send everything to the few that are left. 0 trusts them always.
    half_life:       seconds, more than 0, after which the past counts half in choices.

    >>> PoolOptions(attempts=2, backoff=Backoff(0.1, jitter="none")).delay(2)
    0.2
    """

    attempts: int = 3
    backoff: Backoff | None = None
    timeout: float = math.inf
    breaker: BreakerOptions | None = None
    outliers: OutlierOptions | None = field(default_factory=OutlierOptions)
    health_check: HealthCheck | None = None
    panic_threshold: float = 0.0
    half_life: float = 60.0

    def __post_init__(self) -> None:
        require(self.attempts >= 1, "attempts", "at least 1", self.attempts, error=Invalid)
        require(self.timeout > 0, "timeout", "more than 0", self.timeout, error=Invalid)
        threshold, half_life = self.panic_threshold, self.half_life
        require(0 <= threshold <= 1, "panic_threshold", "from 0 to 1", threshold, error=Invalid)
        require(0 < half_life < math.inf, "half_life", "more than 0 and finite", half_life, error=Invalid)

    def delay(self, attempt: int) -> float:
        """Seconds to wait after this attempt, counted from 1."""
        return self.backoff.delay(attempt) if self.backoff is not None else 0.0
