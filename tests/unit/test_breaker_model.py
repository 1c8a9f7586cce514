"""The breaker against a model of it that is too plain to be wrong: every call is remembered and counted anew."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.breaker import BreakerOptions, CircuitBreaker, Permit, State
from holdfast.errors import CircuitOpen
from holdfast.testing.clock import FakeClock

LEASE, OPEN, SLOW, WINDOW = 8.0, 5.0, 2.0, 10.0


@dataclass
class Call:
    """One call in flight."""

    permit: Permit
    began: float
    generation: int


@dataclass
class Model:
    """What the breaker should be."""

    options: BreakerOptions
    state: State = State.CLOSED
    generation: int = 0
    until: float = 0.0
    good: int = 0
    log: list[tuple[float, bool, bool]] = field(default_factory=list)
    probes: list[Call] = field(default_factory=list)

    def enter(self, state: State) -> None:
        self.state, self.generation, self.good, self.log, self.probes = state, self.generation + 1, 0, [], []

    def look(self, now: float) -> None:
        if self.state is State.OPEN and now >= self.until:
            self.enter(State.HALF_OPEN)

    def admits(self, now: float) -> bool:
        if len(self.probes) >= self.options.probes and now >= self.probes[0].began + LEASE:
            del self.probes[0]
        full = len(self.probes) >= self.options.probes
        return self.state is State.CLOSED or (self.state is State.HALF_OPEN and not full)

    def in_window(self, now: float) -> list[tuple[float, bool, bool]]:
        if self.options.window == "count":
            return self.log[-int(self.options.window_size) :]
        return [call for call in self.log if math.floor(call[0]) > math.floor(now) - WINDOW]

    def ends(self, call: Call, now: float, failed: bool) -> None:
        slow = now - call.began >= SLOW
        if self.state is State.HALF_OPEN and call in self.probes:
            self.probes.remove(call)
            self.good += 1
            if failed or slow:
                self.open(now)
            elif self.good >= self.options.probe_successes:
                self.enter(State.CLOSED)
        elif self.state is State.CLOSED and call.generation == self.generation:
            self.log.append((now, failed, slow))
            self.judge(now)

    def judge(self, now: float) -> None:
        calls = self.in_window(now)
        failures, slow = sum(call[1] for call in calls), sum(call[2] for call in calls)
        if len(calls) >= self.options.minimum_calls and max(failures, slow) >= len(calls) / 2:
            self.open(now)

    def open(self, now: float) -> None:
        self.enter(State.OPEN)
        self.until = now + OPEN


class BreakerMachine(RuleBasedStateMachine):
    """Calls that begin, end, hang and are cancelled in any order, while time passes and people interfere."""

    @initialize(
        window=st.sampled_from(["count", "time"]),
        minimum=st.integers(1, 5),
        probes=st.integers(1, 3),
        successes=st.integers(1, 4),
    )
    def make(self, window: str, minimum: int, probes: int, successes: int) -> None:
        self.options = BreakerOptions(
            window=window,  # type: ignore[arg-type]
            window_size=WINDOW,
            minimum_calls=minimum,
            slow_call_duration=SLOW,
            slow_call_rate=0.5,
            open_duration=OPEN,
            probes=probes,
            probe_lease=LEASE,
            probe_successes=successes,
        )
        self.clock = FakeClock(monotonic=0.0)
        self.breaker = CircuitBreaker("model", self.options, clock=self.clock)
        self.model = Model(self.options)
        self.calls = list[Call]()

    @rule()
    def begin(self) -> None:
        now = self.clock.monotonic()
        self.model.look(now)
        if not self.model.admits(now):
            with pytest.raises(CircuitOpen) as refused:
                self.breaker.acquire()
            assert 0 < refused.value.retry_after <= max(OPEN, LEASE)
            return
        call = Call(self.breaker.acquire(), now, self.model.generation)
        self.calls.append(call)
        if self.model.state is State.HALF_OPEN:
            self.model.probes.append(call)

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0), failed=st.booleans())
    def end(self, which: int, failed: bool) -> None:
        call = self.calls.pop(which % len(self.calls))
        call.permit.failure() if failed else call.permit.success()
        self.model.ends(call, self.clock.monotonic(), failed)

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(0))
    def cancel(self, which: int) -> None:
        call = self.calls.pop(which % len(self.calls))
        call.permit.release()
        if call in self.model.probes:
            self.model.probes.remove(call)

    @rule(halves=st.integers(1, 25))
    def wait(self, halves: int) -> None:
        self.clock.advance(halves / 2)

    @rule()
    def isolate(self) -> None:
        self.breaker.isolate()
        self.model.enter(State.ISOLATED)

    @rule()
    def release(self) -> None:
        self.breaker.release()
        if self.model.state is State.ISOLATED:
            self.model.enter(State.HALF_OPEN)

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.model.enter(State.CLOSED)

    @invariant()
    def they_agree(self) -> None:
        now = self.clock.monotonic()
        snapshot = self.breaker.snapshot()
        due = self.model.state is State.OPEN and now >= self.model.until
        assert snapshot.state is (State.HALF_OPEN if due else self.model.state)
        if snapshot.state is State.CLOSED:
            calls = self.model.in_window(now)
            expected = (len(calls), sum(call[1] for call in calls), sum(call[2] for call in calls))
            assert (snapshot.calls, snapshot.failures, snapshot.slow) == expected
        if snapshot.state is State.OPEN:
            assert snapshot.retry_after == self.model.until - now


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
