"""Passive health: an endpoint that fails the calls it is given is taken out for a while.

Source: Envoy's outlier detection, whose growing ejections, and cap on how many may be out, this follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from ...checks import require
from ..errors import Invalid
from ..tally import Estimate

_LONGEST_GROWTH = 30  # doublings: beyond any cap


@dataclass(frozen=True, slots=True)
class OutlierOptions:
    """When an endpoint is ejected, and for how long.

    consecutive_failures: failed calls in a row, at least 1.
    failure_rate:         of recent calls, more than 0 and at most 1; infinity watches no rate.
    minimum_calls:        recent calls before their rate is judged, at least 1.
    ejection:             seconds, more than 0, the first time; twice as long each time that follows soon.
    longest_ejection:     seconds, at least `ejection`.
    most_ejected:         fraction of all endpoints that may be out at the same time, from 0 to 1, rounded down:
                          when more fail than that, the fault is likely not theirs.

    >>> OutlierOptions(most_ejected=0.5).room(5)
    2
    """

    consecutive_failures: int = 5
    failure_rate: float = math.inf
    minimum_calls: int = 20
    ejection: float = 30.0
    longest_ejection: float = 300.0
    most_ejected: float = 0.5

    def __post_init__(self) -> None:
        for name in ("consecutive_failures", "minimum_calls"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name), error=Invalid)
        for name in ("failure_rate", "ejection"):
            require(getattr(self, name) > 0, name, "more than 0", getattr(self, name), error=Invalid)
        longest, most = self.longest_ejection, self.most_ejected
        at_least = f"at least ejection, {self.ejection}, and finite"
        require(self.ejection <= longest < math.inf, "longest_ejection", at_least, longest, error=Invalid)
        require(0 <= most <= 1, "most_ejected", "from 0 to 1", most, error=Invalid)

    def room(self, endpoints: int) -> int:
        """How many of so many may be out."""
        return math.floor(self.most_ejected * endpoints)


class Ejection(NamedTuple):
    """What is held against an endpoint.

    streak:   failures in a row.
    until:    when it may come back (monotonic); 0 if it never was out.
    duration: seconds of the latest ejection.
    times:    ejections that followed each other soon.
    """

    streak: int = 0
    until: float = 0.0
    duration: float = 0.0
    times: int = 0

    def succeeded(self) -> Ejection:
        return self._replace(streak=0)

    def failed(self) -> Ejection:
        return self._replace(streak=self.streak + 1)

    def is_due(self, options: OutlierOptions, recent: Estimate) -> bool:
        """Whether it has failed enough to go."""
        calls = recent.successes + recent.failures
        by_rate = calls >= options.minimum_calls and recent.failures >= options.failure_rate * calls
        return by_rate or self.streak >= options.consecutive_failures

    def begun(self, options: OutlierOptions, now: float) -> Ejection:
        """Out from now on: longer than last time if it was well for less time than it was out."""
        soon = self.times > 0 and now - self.until < self.duration
        times = self.times + 1 if soon else 1
        duration = min(options.longest_ejection, options.ejection * 2 ** min(times - 1, _LONGEST_GROWTH))
        return Ejection(0, now + duration, duration, times)
