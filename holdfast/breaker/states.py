"""The states of a breaker, and how one follows from another.

Closed ──rate exceeded──> Open ──time over──> HalfOpen ──probes good──> Closed
                            ^                    │
                            └─────probe bad──────┘     By hand, until released: Isolated, MetricsOnly, ForcedClosed

Nothing here reads a clock, takes a lock or tells anyone: the breaker passes the time in and keeps the
state that comes out. A call is let in with a ticket, and only the state that gave it counts its outcome:
what began under an older state changes nothing.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from .window import Counts, CountWindow, TimeWindow, Window

if TYPE_CHECKING:
    from .options import BreakerOptions


# A state has an `until`: before that time nobody passes, whatever else happens, which can be seen without a lock.
NEVER = -math.inf


class State(StrEnum):
    """What a breaker does with calls.

    >>> [state.value for state in State if state.passes]
    ['closed', 'metrics_only', 'forced_closed']
    """

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    ISOLATED = "isolated"
    METRICS_ONLY = "metrics_only"
    FORCED_CLOSED = "forced_closed"

    @property
    def passes(self) -> bool:
        """Whether every call is let through."""
        return self in (State.CLOSED, State.METRICS_ONLY, State.FORCED_CLOSED)


class Probe:
    """The ticket of one call that is let through to see whether the other side is back."""

    __slots__ = ()

    def tally(self, _now: float, _duration: float) -> bool:
        """Never: there is always something to decide about a probe."""
        return False


class Closed:
    """All calls pass, and are counted. It is its own ticket, the same for every call."""

    __slots__ = ("_options", "_window", "reason", "tally")
    state = State.CLOSED
    until = NEVER

    def __init__(self, options: BreakerOptions, now: float, reason: str) -> None:
        self.reason = reason
        self._options = options
        self._window = _window(options, now)
        self.tally = self._window.tally

    def at(self, _now: float) -> Phase:
        return self

    def admit(self, _now: float) -> Ticket:
        return self

    def record(self, ticket: Ticket, now: float, duration: float, *, failed: bool) -> Phase:
        if ticket is not self:
            return self
        counts = self._window.add(now, duration, failed=failed)
        reason = _exceeded(self._options, counts)
        return Open(self._options, now, 1, counts, reason) if reason else self

    def release(self, _now: float) -> Phase:
        return self

    def give_back(self, ticket: Ticket) -> None:
        """Nothing was held for it."""

    def adopt(self, options: BreakerOptions, now: float) -> Phase:
        if _measure(options) != _measure(self._options):
            return type(self)(options, now, "reconfigured")
        self._options = options
        return self

    def counts(self, now: float) -> Counts:
        return self._window.counts(now)

    def retry_after(self, _now: float) -> float:
        return 0.0


class MetricsOnly(Closed):
    """All calls pass and are counted, and nothing follows from it."""

    __slots__ = ()
    state = State.METRICS_ONLY

    def record(self, ticket: Ticket, now: float, duration: float, *, failed: bool) -> Phase:
        if ticket is self:
            self._window.add(now, duration, failed=failed)
        return self

    def release(self, now: float) -> Phase:
        return Closed(self._options, now, "released")


class ForcedClosed(Closed):
    """All calls pass, and nobody counts them."""

    __slots__ = ()
    state = State.FORCED_CLOSED

    def __init__(self, options: BreakerOptions, now: float, reason: str) -> None:
        super().__init__(options, now, reason)
        self.tally = lambda _now, _duration, /: True

    def record(self, ticket: Ticket, now: float, duration: float, *, failed: bool) -> Phase:  # noqa: ARG002
        return self

    def release(self, now: float) -> Phase:
        return Closed(self._options, now, "released")


class Open:
    """No call passes until the time is over.

    times:  how often it has opened without closing between, this one included.
    counts: what made it open.
    """

    __slots__ = ("_counts", "_options", "_times", "reason", "until")
    state = State.OPEN

    def __init__(self, options: BreakerOptions, now: float, times: int, counts: Counts, reason: str) -> None:
        self.reason = reason
        self._options = options
        self._times = times
        self.until = now + options.open_for(times)
        self._counts = counts

    def at(self, now: float) -> Phase:
        return self if now < self.until else HalfOpen(self._options, self._times, "open_duration_over")

    def admit(self, _now: float) -> None:
        """Nobody passes."""

    def record(self, _ticket: Ticket, _now: float, _duration: float, *, failed: bool) -> Phase:  # noqa: ARG002
        return self

    def release(self, _now: float) -> Phase:
        return self

    def adopt(self, options: BreakerOptions, _now: float) -> Phase:
        self._options = options
        return self

    def give_back(self, ticket: Ticket) -> None:
        """It gave no tickets."""

    def counts(self, _now: float) -> Counts:
        return self._counts

    def retry_after(self, now: float) -> float:
        return max(0.0, self.until - now)


class HalfOpen:
    """A few calls pass as probes, each on a lease: one that hangs does not keep its place for ever.

    A probe whose place has been let to another is forgotten; until then even a late answer counts.
    """

    __slots__ = ("_good", "_leases", "_options", "_times", "reason")
    state = State.HALF_OPEN
    until = NEVER

    def __init__(self, options: BreakerOptions, times: int, reason: str) -> None:
        self.reason = reason
        self._options = options
        self._times = times
        self._good = 0
        self._leases: dict[Ticket, float] = {}

    def at(self, _now: float) -> Phase:
        return self

    def admit(self, now: float) -> Ticket | None:
        if len(self._leases) >= self._options.probes:
            # Leases are equally long, so the first one given is the first one over.
            oldest = next(iter(self._leases))
            if now < self._leases[oldest]:
                return None
            del self._leases[oldest]
        probe = Probe()
        self._leases[probe] = now + self._options.probe_lease
        return probe

    def record(self, ticket: Ticket, now: float, duration: float, *, failed: bool) -> Phase:
        if self._leases.pop(ticket, None) is None:
            return self
        slow = duration >= self._options.slow_call_duration
        if failed or slow:
            counts = Counts(self._good + 1, int(failed), int(slow))
            return Open(self._options, now, self._times + 1, counts, "probe_failed" if failed else "probe_slow")
        self._good += 1
        if self._good < self._options.probe_successes:
            return self
        return Closed(self._options, now, "probes_succeeded")

    def release(self, _now: float) -> Phase:
        return self

    def adopt(self, options: BreakerOptions, _now: float) -> Phase:
        self._options = options
        return self

    def give_back(self, ticket: Ticket) -> None:
        self._leases.pop(ticket, None)

    def counts(self, _now: float) -> Counts:
        return Counts(self._good)

    def retry_after(self, now: float) -> float:
        """A guess while the places are taken: a probe may end at any time, but no later than its lease."""
        if len(self._leases) < self._options.probes:
            return 0.0
        left = next(iter(self._leases.values())) - now
        return max(0.0, min(left, self._options.open_for(1)))


class Isolated:
    """No call passes until someone says so."""

    __slots__ = ("_options", "reason")
    state = State.ISOLATED
    until = math.inf

    def __init__(self, options: BreakerOptions) -> None:
        self.reason = "isolated"
        self._options = options

    def at(self, _now: float) -> Phase:
        return self

    def admit(self, _now: float) -> None:
        """Nobody passes."""

    def record(self, _ticket: Ticket, _now: float, _duration: float, *, failed: bool) -> Phase:  # noqa: ARG002
        return self

    def release(self, _now: float) -> Phase:
        return HalfOpen(self._options, 0, "released")

    def adopt(self, options: BreakerOptions, _now: float) -> Phase:
        self._options = options
        return self

    def give_back(self, ticket: Ticket) -> None:
        """It gave no tickets."""

    def counts(self, _now: float) -> Counts:
        return Counts()

    def retry_after(self, _now: float) -> float:
        """A guess: nobody knows when it will be released."""
        return self._options.open_for(1)


Phase: TypeAlias = Closed | Open | HalfOpen | Isolated
Ticket: TypeAlias = Closed | Probe


def _measure(options: BreakerOptions) -> tuple[object, ...]:
    """What a window counts by."""
    return options.window, options.window_size, options.slow_call_duration


def _window(options: BreakerOptions, now: float) -> Window:
    if options.window == "count":
        return CountWindow(int(options.window_size), options.slow_call_duration)
    return TimeWindow(options.window_size, options.slow_call_duration, now)


def _exceeded(options: BreakerOptions, counts: Counts) -> str:
    """Why to open, or nothing."""
    calls, failures, slow = counts
    if calls < options.minimum_calls:
        return ""
    if failures and failures >= options.failure_rate * calls:
        return "failure_rate"
    if slow and slow >= options.slow_call_rate * calls:
        return "slow_call_rate"
    return ""
