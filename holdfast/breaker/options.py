"""When a breaker opens and closes, and what counts as a failure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from ..backoff import Backoff
from ..checks import require
from ..errors import Permanent, Rejected


class Verdict(Enum):
    """What one error says about the health of the other side.

    >>> classify(ConnectionResetError()), classify(Permanent("no such table"))
    (<Verdict.FAILURE: 'failure'>, <Verdict.IGNORE: 'ignore'>)
    """

    FAILURE = "failure"
    SUCCESS = "success"
    IGNORE = "ignore"


def classify(error: Exception) -> Verdict:
    """The default: our own refusals and definite answers say nothing about health; anything else is a failure."""
    return Verdict.IGNORE if isinstance(error, (Rejected, Permanent)) else Verdict.FAILURE


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """When to open, for how long, and how to find the way back. Rates are fractions from 0 to 1.

    window:             `count` judges the last `window_size` calls, `time` those of the last `window_size` seconds.
    window_size:        calls (a whole number) or seconds, at least 1 call or more than 0 seconds.
    minimum_calls:      calls in the window before it is judged, at least 1, at most a count window's size.
    failure_rate:       opens at this rate of failed calls, more than 0.
    slow_call_duration: seconds from which a call is slow, more than 0; infinity watches no slowness.
    slow_call_rate:     opens at this rate of slow calls, more than 0.
    open_duration:      seconds to stay open, more than 0, or a Backoff over the times opened without closing between.
    probes:             calls let through at the same time while half-open, at least 1.
    probe_lease:        seconds after which a probe that has not ended gives up its place, more than 0.
    probe_successes:    good probes that close the breaker, at least 1; one bad (or slow) probe opens it again.

    >>> BreakerOptions(window="time", window_size=30.0, failure_rate=0.2).minimum_calls
    10
    """

    window: Literal["count", "time"] = "count"
    window_size: float = 100
    minimum_calls: int = 10
    failure_rate: float = 0.5
    slow_call_duration: float = math.inf
    slow_call_rate: float = 1.0
    open_duration: float | Backoff = 5.0
    probes: int = 1
    probe_lease: float = 30.0
    probe_successes: int = 1

    def __post_init__(self) -> None:
        self._check_window()
        for name in ("failure_rate", "slow_call_rate"):
            require(0 < getattr(self, name) <= 1, name, "more than 0 and at most 1", getattr(self, name))
        for name in ("minimum_calls", "probes", "probe_successes"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        require(self.slow_call_duration > 0, "slow_call_duration", "more than 0", self.slow_call_duration)
        require(0 < self.probe_lease < math.inf, "probe_lease", "more than 0 and finite", self.probe_lease)
        if not isinstance(self.open_duration, Backoff):
            require(0 < self.open_duration < math.inf, "open_duration", "more than 0 and finite", self.open_duration)

    @property
    def timed(self) -> bool:
        """Whether anything depends on when calls begin and end."""
        return self.window == "time" or self.slow_call_duration < math.inf

    def open_for(self, times: int) -> float:
        """Seconds to stay open when it opens for the `times`th time in a row, counted from 1."""
        if isinstance(self.open_duration, Backoff):
            return self.open_duration.delay(times)
        return self.open_duration

    def _check_window(self) -> None:
        size = self.window_size
        require(self.window in ("count", "time"), "window", "count or time", self.window)
        require(0 < size < math.inf, "window_size", "more than 0 and finite", size)
        if self.window == "count":
            require(size == int(size), "window_size", "a whole number of calls", size)
            require(self.minimum_calls <= size, "minimum_calls", f"at most the window's {size}", self.minimum_calls)
