"""What the calls of late were like: counts over the last n calls, or the last n seconds.

Both are exact about what they hold, take constant time per call, and count a good, quick call into a
window that holds no bad one without any lock: `itertools.count` hands out each number once, whoever
asks, and there is nothing to decide. Everything else happens under the breaker's lock.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import count
from typing import NamedTuple, Protocol

# Finer buckets follow time more closely and cost a roll more often.
_BUCKETS = 10


class Counts(NamedTuple):
    """Calls of which some failed and some were slow (some maybe both)."""

    calls: int = 0
    failures: int = 0
    slow: int = 0


class Window(Protocol):
    """The calls of late. `now` and `duration` are seconds."""

    def tally(self, now: float, duration: float, /) -> bool:
        """Count a good call if that is all there is to it; False: nothing was counted, use `add`. Needs no lock."""

    def add(self, now: float, duration: float, /, *, failed: bool) -> Counts:
        """Count a call, and return what the window now holds."""

    def counts(self, now: float, /) -> Counts:
        """What the window holds."""


class CountWindow:
    """The last `size` calls: their running number, and the numbers of the bad ones among them."""

    def __init__(self, size: int, slow_duration: float) -> None:
        self._size = size
        self._slow_duration = slow_duration
        self._next = count(1).__next__
        self._last = 0
        self._failures = deque[int]()
        self._slow = deque[int]()

    def tally(self, _now: float, duration: float) -> bool:
        if self._failures or self._slow or duration >= self._slow_duration:
            return False
        self._last = self._next()
        return True

    def add(self, _now: float, duration: float, *, failed: bool) -> Counts:
        self._last = number = self._next()
        if failed:
            self._failures.append(number)
        if duration >= self._slow_duration:
            self._slow.append(number)
        for bad in (self._failures, self._slow):
            while bad and bad[0] <= number - self._size:
                bad.popleft()
        return Counts(min(number, self._size), len(self._failures), len(self._slow))

    def counts(self, _now: float) -> Counts:
        return Counts(min(self._last, self._size), len(self._failures), len(self._slow))


class TimeWindow:
    """The calls of the last `seconds`, to within a tenth: running totals, and what they were as each bucket began."""

    def __init__(self, seconds: float, slow_duration: float, now: float) -> None:
        self._width = seconds / _BUCKETS
        self._slow_duration = slow_duration
        self._next = count(1).__next__
        self._calls = self._failures = self._slow = 0
        self._starts = deque[tuple[int, Counts]]()
        self._bucket = -1
        self._edge = -math.inf
        self._move(now)

    def tally(self, now: float, duration: float) -> bool:
        if now >= self._edge or duration >= self._slow_duration or not self._clean:
            return False
        self._calls = self._next()
        return True

    def add(self, now: float, duration: float, *, failed: bool) -> Counts:
        self._move(now)
        self._calls = number = self._next()
        slow = duration >= self._slow_duration
        if failed or slow:
            self._failures += failed
            self._slow += slow
            self._clean = False
        return self._since_start(number)

    def counts(self, now: float) -> Counts:
        self._move(now)
        return self._since_start(self._calls)

    def _since_start(self, calls: int) -> Counts:
        start = self._starts[0][1]
        return Counts(calls - start.calls, self._failures - start.failures, self._slow - start.slow)

    def _move(self, now: float) -> None:
        """Begin the bucket that `now` falls into, and forget those that have left the window."""
        if now < self._edge:
            return
        # Dividing may round to just below the edge that `now` has reached.
        self._bucket = max(self._bucket + 1, math.floor(now / self._width))
        self._edge = (self._bucket + 1) * self._width
        self._starts.append((self._bucket, Counts(self._calls, self._failures, self._slow)))
        while self._starts[0][0] <= self._bucket - _BUCKETS:
            self._starts.popleft()
        start = self._starts[0][1]
        self._clean = self._failures == start.failures and self._slow == start.slow
