"""A bound on how much retries and hedges add to the calls that everyone makes.

Attempts per call bound what one caller does; when everything fails, all of them retry, and layers that retry
multiply: 3 × 3 × 3 attempts are 27 calls. A budget bounds the sum: every call puts in a fraction of a try,
every try beyond a call's first takes one out, and when there is none left there is no second try.

Sources: Finagle's RetryBudget (deposit a ratio, withdraw one, and some in reserve); gRPC's retry throttling,
proposal A6 (one bucket for all calls to a server).
"""

from __future__ import annotations

import threading
from itertools import count

from .checks import require
from .clock import Clock, system_clock


class RetryBudget:
    """Shared by those who call the same other side. At most `ratio` tries more than calls, and a few in reserve.

    ratio:      tries per call, from 0 up; 0.1 allows a tenth more calls.
    reserve:    tries saved up at most, at least 1; as many are there at the beginning.
    per_second: tries put in by time alone, at least 0, so that a rare caller may retry too.

    Shared freely by threads and event loops. Each layer that retries puts in for its own calls.

    >>> budget = RetryBudget(0.5, reserve=1, per_second=0)
    >>> [budget.withdraw(), budget.withdraw()]
    [True, False]
    >>> budget.deposit(); budget.deposit(); budget.withdraw()
    True
    """

    def __init__(
        self, ratio: float = 0.1, *, reserve: float = 10.0, per_second: float = 1.0, clock: Clock = system_clock
    ) -> None:
        require(ratio >= 0, "ratio", "at least 0", ratio)
        require(reserve >= 1, "reserve", "at least 1", reserve)
        require(per_second >= 0, "per_second", "at least 0", per_second)
        self.ratio = ratio
        self.reserve = reserve
        self.per_second = per_second
        self._clock = clock
        self._lock = threading.Lock()
        # Every call deposits, few withdraw: so a deposit is only counted, and turned into tries when asked for.
        self._next_call = count(1).__next__
        self._calls = self._counted = 0
        self._tries = float(reserve)
        self._filled = clock.monotonic()

    @property
    def left(self) -> float:
        """Tries that may be taken out now."""
        with self._lock:
            self._fill()
            return self._tries

    def deposit(self) -> None:
        """A call is made for the first time."""
        self._calls = self._next_call()

    def withdraw(self) -> bool:
        """Take out one try; False when there is none."""
        with self._lock:
            self._fill()
            if self._tries < 1:
                return False
            self._tries -= 1
        return True

    def _fill(self) -> None:
        now, calls = self._clock.monotonic(), self._calls
        # A thread may put back an older number than another has read.
        gained = max(0, calls - self._counted) * self.ratio + (now - self._filled) * self.per_second
        self._counted = max(self._counted, calls)
        self._tries = min(self.reserve, self._tries + gained)
        self._filled = now
