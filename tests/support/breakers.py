"""A breaker on a fake clock, and calls through it that go well or fail."""

from __future__ import annotations

from holdfast.breaker import BreakerOptions, CircuitBreaker, State
from holdfast.errors import CircuitOpen
from holdfast.testing.clock import FakeClock

QUICK = BreakerOptions(minimum_calls=4, open_duration=5.0)


class Down(Exception):
    """What the other side raises when it is down."""


def fail() -> None:
    raise Down("connection refused")


def breaker_of(clock: FakeClock, options: BreakerOptions = QUICK) -> CircuitBreaker:
    return CircuitBreaker("store", options, clock=clock)


def state(breaker: CircuitBreaker) -> State:
    return breaker.state


def outcome(breaker: CircuitBreaker, raised: BaseException | None = None) -> BaseException | None:
    """Make a call that raises this, or nothing, and return what came out of it."""

    def work() -> None:
        if raised is not None:
            raise raised

    try:
        breaker.call(work)
    except BaseException as error:  # noqa: BLE001 - whatever came out is what was asked for
        return error
    return None


def run(breaker: CircuitBreaker, outcomes: str) -> None:
    """Make calls that go well (`.`) or fail (`x`), all of which are let through."""
    for each in outcomes:
        assert not isinstance(outcome(breaker, Down() if each == "x" else None), CircuitOpen)


def opened(clock: FakeClock, options: BreakerOptions = QUICK) -> CircuitBreaker:
    breaker = breaker_of(clock, options)
    run(breaker, "x" * options.minimum_calls)
    assert state(breaker) is State.OPEN
    return breaker


def half_opened(clock: FakeClock, options: BreakerOptions = QUICK) -> CircuitBreaker:
    breaker = opened(clock, options)
    clock.advance(5.0)
    return breaker
