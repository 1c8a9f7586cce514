"""What a run is judged by: figures of each phase, and the limits that they must keep."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Figures:
    """Requests of a phase, or of all. times: milliseconds, rounded, and how many requests took that long."""

    requests: int = 0
    errors: int = 0
    held: int = 0
    times: Counter[int] = field(default_factory=Counter)

    def add(self, milliseconds: float, *, failed: bool, held: bool) -> None:
        self.requests += 1
        self.errors += failed
        self.held += held
        self.times[round(milliseconds)] += 1

    def quantile(self, share: float) -> float:
        """Seconds that this share of the requests took at most; 0 where there were none."""
        left = share * self.requests
        for milliseconds in sorted(self.times):
            left -= self.times[milliseconds]
            if left <= 0:
                return milliseconds / 1000
        return 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """errors: share of all requests. The others are seconds."""

    errors: float = 0.01
    p95: float = 0.2
    settled_p95: float = 30.0
    settled_p99: float = 120.0


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed, by the nearest rank; 0 where there are none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    # Products of floats may miss a whole rank by an ulp.
    return ranked[max(0, math.ceil(share * len(ranked) - 1e-9) - 1)]


def breaches(all_: Figures, delays: Sequence[float], limits: Limits) -> list[str]:
    """What was beyond its limit, in words."""
    if not all_.requests:
        return ["no request was made"]
    measured = [
        ("errors", all_.errors / all_.requests, limits.errors, "{:.2%}"),
        ("p95 of requests", all_.quantile(0.95), limits.p95, "{:.3f} s"),
        ("p95 from accepted to settled", quantile(delays, 0.95), limits.settled_p95, "{:.1f} s"),
        ("p99 from accepted to settled", quantile(delays, 0.99), limits.settled_p99, "{:.1f} s"),
    ]
    return [
        f"{name}: {form.format(value)}, the limit is {form.format(limit)}"
        for name, value, limit, form in measured
        if value >= limit
    ]
