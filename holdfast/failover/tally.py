"""What calls were like: exact counts over a rolling window, and an estimate that forgets.

The window is for people (`success rate, last 24 hours`), the estimate for decisions: its weights halve every
`half_life`, so that it follows a change within minutes and a verdict on someone who is no longer asked fades.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple


class Counts(NamedTuple):
    """How many calls there were, by what became of them.

    skipped:   not made, by a breaker or a rate.
    passed_on: after which somebody else was asked.
    seconds:   that the calls took, all together.
    """

    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    passed_on: int = 0
    seconds: float = 0.0

    @property
    def calls(self) -> int:
        return self.succeeded + self.failed

    @property
    def success_rate(self) -> float | None:
        """None without calls."""
        return self.succeeded / self.calls if self.calls else None

    @property
    def average_duration(self) -> float | None:
        """Seconds; None without calls."""
        return self.seconds / self.calls if self.calls else None

    def plus(self, other: Counts) -> Counts:
        return Counts(
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.passed_on + other.passed_on,
            self.seconds + other.seconds,
        )


class Rolling:
    """Counts of the last `span` seconds, exact to within one of its `buckets`."""

    def __init__(self, span: float = 86_400.0, buckets: int = 96) -> None:
        self._width = span / buckets
        self._buckets = deque[tuple[int, Counts]](maxlen=buckets)

    def add(self, now: float, counts: Counts) -> None:
        number = int(now // self._width)
        if self._buckets and self._buckets[-1][0] >= number:
            number, before = self._buckets.pop()
            counts = before.plus(counts)
        self._buckets.append((number, counts))

    def total(self, now: float) -> Counts:
        oldest = int(now // self._width) - (self._buckets.maxlen or 0)
        total = Counts()
        for number, counts in self._buckets:
            if number > oldest:
                total = total.plus(counts)
        return total


@dataclass(frozen=True, slots=True)
class Estimate:
    """Decayed sums of what was seen.

    successes, failures: weights, each 1 when it was fresh.
    seconds:             of successes, decayed alike.

    >>> Estimate(successes=3, failures=1, seconds=1.5).response_time
    0.5
    """

    successes: float = 0.0
    failures: float = 0.0
    seconds: float = 0.0
    at: float = 0.0

    @property
    def success_rate(self) -> float:
        """Between 0 and 1, leaning to 1/2 the less is known (the rule of succession, Laplace 1814)."""
        return (self.successes + 1) / (self.successes + self.failures + 2)

    @property
    def response_time(self) -> float | None:
        """Seconds that a success takes; None when no success is remembered."""
        return self.seconds / self.successes if self.successes > 0 else None

    def expected_time(self, unknown: float) -> float:
        """Seconds until calls repeated one after the other succeed; nearer to twice `unknown` the less is known."""
        return (self.seconds + unknown) / (self.successes + 1) / self.success_rate

    def decayed(self, now: float, half_life: float) -> Estimate:
        keep = 0.5 ** (max(0.0, now - self.at) / half_life)
        return Estimate(self.successes * keep, self.failures * keep, self.seconds * keep, now)

    def with_call(self, now: float, half_life: float, duration: float, *, failed: bool) -> Estimate:
        """Itself, with one more call; an EWMA over time rather than over calls."""
        old = self.decayed(now, half_life)
        if failed:
            return Estimate(old.successes, old.failures + 1, old.seconds, now)
        return Estimate(old.successes + 1, old.failures, old.seconds + duration, now)
