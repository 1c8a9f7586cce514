"""The bookkeeping of a failover: what became of its calls, for statistics and for choosing whom to ask.

It runs outside of the `try` around a provider's call and lets no error out. So bookkeeping that fails is logged, and
neither makes anybody call a second provider nor loses a result.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from ..clock import Clock
from ..errors import Permanent, Throttled
from ..events import Event, Listener, emit
from .attempts import Attempt, AttemptLog, Ending, ErrorNote, note
from .errors import AllProvidersFailed
from .hooks import Call, Hooks, run_hook, safely
from .outcomes import Execution
from .tally import Counts, Estimate, Rolling


@dataclass(slots=True)
class _Track:
    """What is known of one provider. resting_until: it asked to be left alone until then (monotonic)."""

    counts: Rolling = field(default_factory=Rolling)
    recent: dict[str, Estimate] = field(default_factory=dict)
    last_error: ErrorNote | None = None
    resting_until: float = 0.0


class Books:
    """The bookkeeping of one failover, shared by its threads and event loops."""

    def __init__(
        self, name: str, clock: Clock, *, hooks: Hooks, listener: Listener | None, half_life: float, log_size: int
    ) -> None:
        self.clock = clock
        self.log = AttemptLog(log_size)
        self._name = name
        self._hooks = hooks
        self._listener = listener
        self._half_life = half_life
        self._lock = threading.Lock()
        self._tracks: dict[str, _Track] = {}
        self._totals = Rolling()

    def recent(self, provider: str, method: str) -> Estimate:
        """How its calls of this method went of late."""
        with self._lock:
            known = self._track(provider).recent.get(method, Estimate())
        return known.decayed(self.clock.monotonic(), self._half_life)

    def counts(self, provider: str) -> tuple[Counts, ErrorNote | None]:
        """What a provider has done in the last 24 hours, and its last error."""
        with self._lock:
            track = self._track(provider)
            return track.counts.total(self.clock.monotonic()), track.last_error

    def totals(self) -> Counts:
        """The last 24 hours of requests as a whole; passed_on counts those in which failover was used."""
        with self._lock:
            return self._totals.total(self.clock.monotonic())

    def resting_for(self, provider: str) -> float:
        """Seconds for which a throttling provider still asks to be left alone."""
        with self._lock:
            return max(0.0, self._track(provider).resting_until - self.clock.monotonic())

    def forget(self, provider: str) -> None:
        with self._lock:
            self._tracks.pop(provider, None)

    @safely
    def try_failed(self, call: Call, provider: str, number: int, duration: float, error: Exception) -> None:
        """One call of it failed; its policy may still try again."""
        self._write(call, provider, number, "failed", duration, error)
        if isinstance(error, Throttled):
            with self._lock:
                self._track(provider).resting_until = self.clock.monotonic() + error.retry_after
        run_hook(self._hooks.failed, call, provider, error)

    @safely
    def succeeded(self, call: Call, provider: str, number: int, duration: float, result: object) -> None:
        self._write(call, provider, number, "succeeded", duration)
        self._count(call, provider, Counts(succeeded=1, seconds=duration), failed=False)
        run_hook(self._hooks.succeeded, call, provider, result)

    @safely
    def failed(self, call: Call, provider: str, duration: float, error: Exception) -> None:
        """It was called, and its policy has given up."""
        # A definite answer says nothing about who is the better one to ask.
        failed = None if isinstance(error, Permanent) else True
        self._count(call, provider, Counts(failed=1, seconds=duration), failed=failed)
        self._tell("failover.provider_failed", call, provider=provider, **_kind(error))

    @safely
    def skipped(self, call: Call, provider: str, error: Exception) -> None:
        """It was not called."""
        self._write(call, provider, 0, "skipped", 0.0, error)
        self._count(call, provider, Counts(skipped=1))
        self._tell("failover.provider_skipped", call, provider=provider, **_kind(error))

    @safely
    def cancelled(self, call: Call, provider: str, number: int, duration: float) -> None:
        """It was called and then cancelled: neither success nor failure."""
        self._write(call, provider, number, "cancelled", duration)

    @safely
    def passed_on(self, call: Call, provider: str) -> None:
        """Another provider is asked in its place."""
        self._count(call, provider, Counts(passed_on=1))

    @safely
    def done(self, call: Call, execution: Execution[Any]) -> None:
        used = execution.failover_used
        self._total(Counts(succeeded=1, passed_on=used, seconds=execution.duration))
        if used:
            self._tell("failover.used", call, provider=execution.provider, tries=execution.tries)

    @safely
    def stopped(self, call: Call, provider: str, duration: float, error: Exception) -> None:
        """The call ended with an error after which no other provider is asked."""
        self._total(Counts(failed=1, seconds=duration))
        self._tell("failover.stopped", call, provider=provider, **_kind(error))

    @safely
    def all_failed(self, call: Call, duration: float, error: AllProvidersFailed) -> None:
        self._total(Counts(failed=1, passed_on=len(error.exceptions) > 1, seconds=duration))
        self._tell("failover.all_failed", call, providers=len(error.exceptions))
        run_hook(self._hooks.all_failed, call, error)

    def _write(
        self, call: Call, provider: str, number: int, ending: Ending, duration: float, error: Exception | None = None
    ) -> None:
        now = self.clock.time()
        known = note(error, now) if error is not None else None
        attempt = Attempt(now, call.method, provider, number, ending, duration, known)
        self.log.add(attempt)
        if ending == "failed":
            with self._lock:
                self._track(provider).last_error = known
        run_hook(self._hooks.attempted, call, attempt)

    def _count(self, call: Call, provider: str, counts: Counts, *, failed: bool | None = None) -> None:
        now = self.clock.monotonic()
        with self._lock:
            track = self._track(provider)
            track.counts.add(now, counts)
            if failed is not None:
                known = track.recent.get(call.method, Estimate())
                track.recent[call.method] = known.with_call(now, self._half_life, counts.seconds, failed=failed)

    def _total(self, counts: Counts) -> None:
        with self._lock:
            self._totals.add(self.clock.monotonic(), counts)

    def _track(self, provider: str) -> _Track:
        return self._tracks.setdefault(provider, _Track())

    def _tell(self, what: str, call: Call, **more: str | float) -> None:
        if self._listener is not None:
            emit(self._listener, Event(what, self._name, {"method": call.method, **more}))


def _kind(error: Exception) -> dict[str, str]:
    return {"error.type": type(error).__qualname__}
