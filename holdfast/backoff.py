"""How long to wait before the next attempt.

A backoff is a value: a curve over the attempt number, a cap, and jitter that spreads callers who
failed together. Nothing is remembered between attempts, so it serves a loop in memory and an
attempt count that was stored for days alike.

Source of the jitters: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog (2015).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

from .checks import require

Curve = Literal["constant", "linear", "exponential"]
Jitter = Literal["none", "full", "equal", "decorrelated"]

# Decorrelated jitter is a random walk from the base; by then it has forgotten where it began.
_WALK = 256


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait, by attempt.

    base:   seconds, more than 0: the ceiling after the first attempt.
    cap:    seconds, at least base and finite: no wait is longer.
    curve:  how the ceiling grows: `constant`, `linear` (base, 2 base, 3 base …) or
            `exponential` (base, base * factor, base * factor² …).
    factor: more than 1; for `exponential` only.
    jitter: `none`: the ceiling itself; `full`: evenly from 0 to the ceiling; `equal`: from half of it;
            `decorrelated`: a random walk, each step evenly from base to three times the last, in place of the curve.
    rng:    evenly distributed numbers in [0, 1).

    >>> backoff = Backoff(base=1.0, cap=10.0, jitter="none")
    >>> [backoff.delay(attempt) for attempt in (1, 2, 3, 4, 5)]
    [1.0, 2.0, 4.0, 8.0, 10.0]
    """

    base: float = 0.1
    cap: float = 30.0
    curve: Curve = "exponential"
    factor: float = 2.0
    jitter: Jitter = "full"
    rng: Callable[[], float] = field(default=random.random, repr=False)

    def __post_init__(self) -> None:
        require(self.base > 0, "base", "more than 0", self.base)
        require(self.base <= self.cap < math.inf, "cap", f"at least base, {self.base}, and finite", self.cap)
        require(self.factor > 1, "factor", "more than 1", self.factor)
        require(self.curve in get_args(Curve), "curve", "constant, linear or exponential", self.curve)
        require(self.jitter in get_args(Jitter), "jitter", "none, full, equal or decorrelated", self.jitter)

    def ceiling(self, attempt: int) -> float:
        """The longest wait after this attempt by the curve, capped; attempts count from 1."""
        if attempt < 1:
            raise ValueError(f"attempts count from 1, got {attempt}")
        try:
            return min(self.cap, self._grown(attempt))
        except OverflowError:
            return self.cap

    def delay(self, attempt: int) -> float:
        """Seconds to wait after this attempt; attempts count from 1."""
        ceiling = self.ceiling(attempt)
        if self.jitter == "full":
            return self.rng() * ceiling
        if self.jitter == "equal":
            return (1 + self.rng()) * ceiling / 2
        if self.jitter == "decorrelated":
            return self._walk(attempt)
        return ceiling

    def _grown(self, attempt: int) -> float:
        if self.curve == "constant":
            return self.base
        if self.curve == "linear":
            return self.base * attempt
        return self.base * self.factor ** (attempt - 1)

    def _walk(self, steps: int) -> float:
        delay = self.base
        for _ in range(min(steps, _WALK)):
            delay = min(self.cap, self.base + self.rng() * (3 * delay - self.base))
        return delay


def constant(seconds: float, *, jitter: Jitter = "none") -> Backoff:
    """The same wait after every attempt.

    >>> constant(2.0).delay(7)
    2.0
    """
    return Backoff(seconds, seconds, "constant", jitter=jitter)


def linear(base: float, cap: float, *, jitter: Jitter = "full") -> Backoff:
    """Waits that grow by `base` seconds each time, up to `cap`.

    >>> linear(2.0, 60.0).ceiling(3)
    6.0
    """
    return Backoff(base, cap, "linear", jitter=jitter)


def exponential(base: float, cap: float, *, factor: float = 2.0, jitter: Jitter = "full") -> Backoff:
    """Waits that grow `factor` times each time, up to `cap` seconds.

    >>> exponential(0.5, 60.0, factor=3.0).ceiling(3)
    4.5
    """
    return Backoff(base, cap, "exponential", factor, jitter)
