"""The breaker against a model of it that is too plain to be wrong: every call is remembered and counted anew."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.breaker import BreakerOptions, CircuitBreaker, State
from holdfast.errors import CircuitOpen
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

LEASE, OPEN, SLOW, WINDOW = 8.0, 5.0, 2.0, 10.0
COUNTING = (State.CLOSED, State.METRICS_ONLY)


class Down(Exception):
    """What a failed call raises."""


class Suspended:
    """Something to await that goes on only when the test says so."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass
class Call:
    """One call in flight."""

    coroutine: Coroutine[None, None, None]
    began: float
    generation: int

    def succeed(self) -> None:
        with pytest.raises(StopIteration):
            self.coroutine.send(None)

    def fail(self) -> None:
        with pytest.raises(Down):
            self.coroutine.throw(Down())

    def cancel(self) -> None:
        with pytest.raises(asyncio.CancelledError):
            self.coroutine.throw(asyncio.CancelledError())


async def work() -> None:
    await Suspended()


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
        return self.state.passes or (self.state is State.HALF_OPEN and not full)

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
        elif self.state in COUNTING and call.generation == self.generation:
            self.log.append((now, failed, slow))
            if self.state is State.CLOSED:
                self.judge(now)

    def judge(self, now: float) -> None:
        calls = self.in_window(now)
        failures, slow = sum(call[1] for call in calls), sum(call[2] for call in calls)
        if len(calls) >= self.options.minimum_calls and max(failures, slow) >= len(calls) / 2:
            self.open(now)

    def open(self, now: float) -> None:
        self.enter(State.OPEN)
        self.until = now + OPEN


class World:
    """The breaker and its model, and the calls in flight. Every step picks with a number what it is about."""

    def __init__(self, options: BreakerOptions) -> None:
        self.clock = FakeClock(monotonic=0.0)
        self.breaker = CircuitBreaker("model", options, clock=self.clock)
        self.model = Model(options)
        self.calls = list[Call]()

    def begin(self, _number: int) -> None:
        now = self.clock.monotonic()
        self.model.look(now)
        coroutine = self.breaker.acall(work)
        if not self.model.admits(now):
            with pytest.raises(CircuitOpen) as refused:
                coroutine.send(None)
            assert 0 < refused.value.retry_after <= max(OPEN, LEASE)
            return
        coroutine.send(None)
        call = Call(coroutine, now, self.model.generation)
        self.calls.append(call)
        if self.model.state is State.HALF_OPEN:
            self.model.probes.append(call)

    def succeed(self, number: int) -> None:
        if self.calls:
            call = self.calls.pop(number % len(self.calls))
            call.succeed()
            self.model.ends(call, self.clock.monotonic(), failed=False)

    def fail(self, number: int) -> None:
        if self.calls:
            call = self.calls.pop(number % len(self.calls))
            call.fail()
            self.model.ends(call, self.clock.monotonic(), failed=True)

    def cancel(self, number: int) -> None:
        if self.calls:
            call = self.calls.pop(number % len(self.calls))
            call.cancel()
            if call in self.model.probes:
                self.model.probes.remove(call)

    def wait(self, number: int) -> None:
        self.clock.advance(number / 2)

    def interfere(self, number: int) -> None:
        if number < 2:
            self.breaker.isolate()
            self.model.enter(State.ISOLATED)
        elif number < 6:
            self.breaker.reset()
            self.model.enter(State.CLOSED)
        elif number < 7:
            self.breaker.observe()
            self.model.enter(State.METRICS_ONLY)
        elif number < 8:
            self.breaker.force_close()
            self.model.enter(State.FORCED_CLOSED)
        else:
            self.release()

    def release(self) -> None:
        self.breaker.release()
        if self.model.state is State.ISOLATED:
            self.model.enter(State.HALF_OPEN)
        elif self.model.state in (State.METRICS_ONLY, State.FORCED_CLOSED):
            self.model.enter(State.CLOSED)

    def look(self, _number: int = 0) -> None:
        """Compare all there is to see, which brings the breaker up to date; `check` does not."""
        now = self.clock.monotonic()
        snapshot = self.breaker.snapshot()
        if snapshot.state in COUNTING:
            calls = self.model.in_window(now)
            expected = (len(calls), sum(call[1] for call in calls), sum(call[2] for call in calls))
            assert (snapshot.calls, snapshot.failures, snapshot.slow) == expected
        if snapshot.state is State.OPEN:
            assert snapshot.retry_after == self.model.until - now

    def check(self) -> None:
        due = self.model.state is State.OPEN and self.clock.monotonic() >= self.model.until
        assert self.breaker.state is (State.HALF_OPEN if due else self.model.state)


# As often as it takes for windows to fill, breakers to open and probes to be under way.
STEPS = ["begin"] * 6 + ["succeed"] * 5 + ["fail"] * 3 + ["wait"] * 2 + ["look", "cancel", "interfere"]

options = st.builds(
    BreakerOptions,
    window=st.sampled_from(["count", "time"]),
    window_size=st.just(WINDOW),
    minimum_calls=st.integers(1, 6),
    slow_call_duration=st.just(SLOW),
    slow_call_rate=st.just(0.5),
    open_duration=st.just(OPEN),
    probes=st.integers(1, 3),
    probe_lease=st.just(LEASE),
    probe_successes=st.integers(1, 4),
)
stories = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 10)), min_size=40, max_size=200)


@settings(max_examples=400, deadline=None)
@given(options=options, story=stories)
def test_whatever_happens_it_is_what_counting_anew_says(options: BreakerOptions, story: list[tuple[str, int]]) -> None:
    world = World(options)
    for step, number in story:
        getattr(world, step)(number)
        world.check()
    world.look()
    for call in world.calls:
        call.coroutine.close()
