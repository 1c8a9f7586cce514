"""The breaker around a call: the states, with a lock, a clock and a listener."""

from __future__ import annotations

import logging
import math
import threading
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..clock import Clock, system_clock
from ..errors import CircuitOpen
from ..events import Event, Listener, emit
from ..policy import FunctionGuard
from .options import BreakerOptions, Verdict, classify
from .permit import Permit
from .report import Failure, Snapshot, describe
from .states import Closed, ForcedClosed, Isolated, MetricsOnly, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from .states import Phase, Ticket

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


class CircuitBreaker(FunctionGuard):
    """Stops calling what fails, and finds out by a few probes when it is back.

    Shared freely by threads and event loops. No lock is held while the guarded call runs.
    A refused call raises CircuitOpen. Cancellation, and every other BaseException that is not an
    Exception, gives the permit back and counts as nothing. What began before the state last changed
    counts as nothing either.

    classify:        what an error of the guarded call says; if it fails itself, the call counts as failed.
    classify_result: what a result says, where some results are failures; if it fails itself, likewise.
    listener:        told `breaker.state_changed` (from, to, reason) and `breaker.rejected` (state, retry_after).

    >>> breaker = CircuitBreaker("store", BreakerOptions(minimum_calls=3))
    >>> breaker.call(divmod, 7, 2)  # or as a decorator; or acall; or by acquire
    (3, 1)
    >>> for _ in range(2):
    ...     breaker.acquire().failure(ConnectionError("nobody there"))
    >>> breaker.call(divmod, 7, 2)
    Traceback (most recent call last):
        ...
    holdfast.errors.CircuitOpen: breaker 'store' is open; retry in 5 s; last failure: ConnectionError: nobody there
    """

    def __init__(
        self,
        name: str,
        options: BreakerOptions | None = None,
        *,
        classify: Callable[[Exception], Verdict] = classify,
        classify_result: Callable[[Any], Verdict] | None = None,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        self.options = options or BreakerOptions()
        self._classify = classify
        self._classify_result = classify_result
        self._clock = clock
        self._now = clock.monotonic
        self._timed = self.options.timed
        self._listener = listener
        self._lock = threading.Lock()
        self._phase: Phase = Closed(self.options, self._now(), "made")
        self._since = clock.time()
        self._rejected = 0
        self._refused = ""
        self._next_rejected = count(1).__next__
        self._last_failure: Failure | None = None

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name!r} {self.state}>"

    def acquire(self) -> Permit:
        """Permission to make one call, to be settled by hand or by `with`; raises CircuitOpen."""
        ticket = self._admit()
        return Permit(partial(self._settle, ticket, self._now()), self._verdict)

    @property
    def state(self) -> State:
        """What it would do with a call now: an open breaker whose time is over is half-open."""
        return self._phase.at(self._now()).state

    def snapshot(self) -> Snapshot:
        """All that there is to say of it at this moment."""
        with self._lock:
            now = self._now()
            phase = self._phase.at(now)
            calls, failures, slow = phase.counts(now)
            return Snapshot(
                name=self.name,
                state=phase.state,
                reason=phase.reason,
                calls=calls,
                failures=failures,
                slow=slow,
                failure_rate=failures / calls if calls else 0.0,
                slow_rate=slow / calls if calls else 0.0,
                since=self._since,
                retry_after=phase.retry_after(now),
                rejected=self._rejected,
                last_failure=self._last_failure,
            )

    def reconfigure(self, options: BreakerOptions) -> None:
        """Go by other options from now on, in the same state; the window begins anew if it is measured otherwise.

        An open breaker stays open as long as it was going to.
        """
        with self._lock:
            self.options, self._timed = options, options.timed
            event = self._enter(self._phase.adopt(options, self._now()))
        emit(self._listener, event)

    def isolate(self) -> None:
        """Refuse every call until `release` or `reset`."""
        self._force(lambda phase: phase if phase.state is State.ISOLATED else Isolated(self.options))

    def observe(self) -> None:
        """Let every call through and count it, but never open, until `release` or `reset`: to try out options."""
        self._force(lambda _phase: MetricsOnly(self.options, self._now(), "observed"))

    def force_close(self) -> None:
        """Let every call through and count nothing until `release` or `reset`."""
        self._force(lambda _phase: ForcedClosed(self.options, self._now(), "forced"))

    def release(self) -> None:
        """End what was done by hand: after an isolation probes go first, else it is closed with an empty window."""
        self._force(lambda phase: phase.release(self._now()))

    def reset(self) -> None:
        """Close it, whatever it was, with an empty window."""
        self._force(lambda _phase: Closed(self.options, self._now(), "reset"))

    # The guarded functions carry no annotations: those would be made anew with each, and cost as much as half a call.
    # What the two have in common is written out in each: a step that they shared would cost every call a frame.

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        judge = self._classify_result

        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            phase = self._phase
            ticket = phase if phase.__class__ is Closed else self._admit()
            started = self._now() if self._timed else 0.0
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                self._weigh(ticket, started, error)
                raise
            ended = self._now() if self._timed else 0.0
            if judge is not None:
                self._weigh_result(ticket, started, judge, result)
            elif not ticket.tally(ended, ended - started):
                self._record(ticket, started, failed=False)
            return result

        return guarded

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        judge = self._classify_result

        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            phase = self._phase
            ticket = phase if phase.__class__ is Closed else self._admit()
            started = self._now() if self._timed else 0.0
            try:
                result = await fn(*args, **kwargs)
            except BaseException as error:
                self._weigh(ticket, started, error)
                raise
            ended = self._now() if self._timed else 0.0
            if judge is not None:
                self._weigh_result(ticket, started, judge, result)
            elif not ticket.tally(ended, ended - started):
                self._record(ticket, started, failed=False)
            return result

        return guarded

    def _force(self, change: Callable[[Phase], Phase]) -> None:
        with self._lock:
            event = self._enter(change(self._phase))
        emit(self._listener, event)

    def _enter(self, phase: Phase) -> Event | None:
        """Under the lock: take up a state, and return what to tell about it once the lock is free."""
        before = self._phase
        if phase is before:
            return None
        self._phase = phase
        self._since = self._clock.time()
        self._refused = f"breaker {self.name!r} is {phase.state}"
        changed = {"from": before.state.value, "to": phase.state.value, "reason": phase.reason}
        return Event("breaker.state_changed", self.name, changed)

    def _admit(self) -> Ticket:
        now = self._now()
        phase = self._phase
        wait = phase.until - now
        if wait == math.inf:
            wait = phase.retry_after(now)
        elif wait <= 0:
            with self._lock:
                event = self._enter(self._phase.at(now))
                phase = self._phase
                ticket = phase.admit(now)
                wait = phase.retry_after(now)
            emit(self._listener, event)
            if ticket is not None:
                return ticket
        raise self._refusal(phase.state, wait)

    def _refusal(self, state: State, wait: float) -> CircuitOpen:
        # Made here, and not where it is raised: a frame that holds what it raises is garbage in a circle.
        self._rejected = self._next_rejected()
        if self._listener is not None:
            emit(self._listener, Event("breaker.rejected", self.name, {"state": state.value, "retry_after": wait}))
        # Without __init__, whose frame is a tenth of what a refusal costs.
        refusal = CircuitOpen.__new__(CircuitOpen, self._refused, wait)
        refusal.reason = self._refused
        refusal.retry_after = wait
        refusal.last_failure = self._last_failure
        return refusal

    def _weigh(self, ticket: Ticket, started: float, error: BaseException) -> None:
        self._settle(ticket, started, self._verdict(error), error)

    def _weigh_result(self, ticket: Ticket, started: float, judge: Callable[[Any], Verdict], result: object) -> None:
        verdict = self._judged(judge, result)
        if verdict is Verdict.FAILURE:
            self._last_failure = Failure(type(result).__qualname__, "a result that counts as failed")
        self._settle(ticket, started, verdict)

    def _verdict(self, error: BaseException) -> Verdict:
        if not isinstance(error, Exception):
            return Verdict.IGNORE
        return self._judged(self._classify, error)

    def _judged(self, judge: Callable[[Any], Verdict], outcome: object) -> Verdict:
        try:
            return judge(outcome)
        except Exception:  # noqa: BLE001 - a classifier is somebody else's code
            _log.exception("a classifier of breaker %r failed", self.name)
            return Verdict.FAILURE

    def _settle(self, ticket: Ticket, started: float, verdict: Verdict, error: BaseException | None = None) -> None:
        failed = verdict is Verdict.FAILURE
        if verdict is Verdict.IGNORE:
            with self._lock:
                self._phase.give_back(ticket)
            return
        if failed and error is not None:
            self._last_failure = describe(error)
        self._record(ticket, started, failed=failed)

    def _record(self, ticket: Ticket, started: float, *, failed: bool) -> None:
        with self._lock:
            now = self._now()
            event = self._enter(self._phase.record(ticket, now, now - started, failed=failed))
        emit(self._listener, event)
