"""Passive health: an endpoint that fails the calls it is given is taken out for a while.

Source: Envoy's outlier detection, whose growing ejections, and cap on how many may be out, this follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

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
        if self.consecutive_failures < 1 or self.minimum_calls < 1:
            raise Invalid(f"consecutive_failures and minimum_calls must be at least 1, got {self}")
        if not 0 < self.ejection <= self.longest_ejection < math.inf:
            raise Invalid(f"ejection must be more than 0, longest_ejection at least that and finite, got {self}")
        if not 0 <= self.most_ejected <= 1 or not self.failure_rate > 0:
            raise Invalid(f"most_ejected must be from 0 to 1 and failure_rate more than 0, got {self}")

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
