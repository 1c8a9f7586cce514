"""What a breaker tells: refusals, the last failure, and events."""

from __future__ import annotations

import gc
import pickle
import threading
import traceback
import weakref

import pytest

from holdfast.breaker import CircuitBreaker, State
from holdfast.errors import CircuitOpen
from holdfast.events import Event
from holdfast.testing.clock import FakeClock
from tests.support.breakers import QUICK, Down, breaker_of, opened, outcome, run, state


def test_an_open_breaker_says_when_it_will_try_again() -> None:
    clock = FakeClock()
    breaker = opened(clock)
    clock.advance(2.0)
    with pytest.raises(CircuitOpen, match="breaker 'store' is open; retry in 3 s") as refused:
        breaker.call(pytest.fail, "called although open")
    clock.advance(refused.value.retry_after)
    breaker.call(lambda: None)
    assert state(breaker) is State.CLOSED


def test_every_refusal_is_a_new_exception_and_its_traceback_does_not_grow() -> None:
    breaker = opened(FakeClock())
    refusals = [outcome(breaker) for _ in range(100)]
    assert len({id(refusal) for refusal in refusals}) == 100
    assert {type(refusal) for refusal in refusals} == {CircuitOpen}
    assert len({len(traceback.extract_tb(refusal.__traceback__)) for refusal in refusals if refusal}) == 1
    assert breaker.snapshot().rejected == 100


def test_a_refusal_is_gone_as_soon_as_its_caller_lets_go_of_it() -> None:
    breaker = opened(FakeClock())
    gc.disable()
    try:
        refusal = outcome(breaker)
        assert refusal is not None
        held = weakref.ref(refusal)
        del refusal
        assert held() is None
    finally:
        gc.enable()


def test_a_refusal_names_the_real_error_and_keeps_none_of_its_frames() -> None:
    breaker = opened(FakeClock())
    refusal = outcome(breaker)
    assert isinstance(refusal, CircuitOpen)
    assert str(refusal) == "breaker 'store' is open; retry in 5 s; last failure: Down: "
    assert refusal.last_failure == breaker.snapshot().last_failure
    assert refusal.__context__ is None
    assert str(pickle.loads(pickle.dumps(refusal))) == str(refusal)


def test_the_last_failure_is_described_but_not_kept() -> None:
    breaker = breaker_of(FakeClock())

    class Frame:
        """Something that the failing call held."""

    held: weakref.ref[Frame] | None = None

    def hold_and_fail() -> None:
        nonlocal held
        frame = Frame()
        held = weakref.ref(frame)
        raise Down("no route " + "x" * 10_000)

    with pytest.raises(Down):
        breaker.call(hold_and_fail)
    gc.collect()
    assert held is not None
    assert held() is None
    failure = breaker.snapshot().last_failure
    assert failure is not None
    assert (failure.type, failure.text[:8], len(failure.text)) == ("Down", "no route", 500)


def test_listeners_hear_of_changes_and_refusals_while_no_lock_is_held() -> None:
    clock, heard, stuck = FakeClock(), list[Event](), list[bool]()

    def listen(event: Event) -> None:
        heard.append(event)
        other = threading.Thread(target=breaker.snapshot, daemon=True)
        other.start()
        other.join(30.0)
        stuck.append(other.is_alive())

    breaker = CircuitBreaker("store", QUICK, clock=clock, listener=listen)
    run(breaker, "xxxx")
    assert isinstance(outcome(breaker), CircuitOpen)
    clock.advance(5.0)
    run(breaker, ".")
    assert not any(stuck)
    assert {event.source for event in heard} == {"store"}
    assert [(event.name, *event.attributes.values()) for event in heard] == [
        ("breaker.state_changed", "closed", "open", "failure_rate"),
        ("breaker.rejected", "open", 5.0),
        ("breaker.state_changed", "open", "half_open", "open_duration_over"),
        ("breaker.state_changed", "half_open", "closed", "probes_succeeded"),
    ]


def test_a_failing_listener_changes_no_outcome() -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("no ear")

    breaker = CircuitBreaker("store", QUICK, clock=FakeClock(), listener=broken)
    run(breaker, "xxxx")
    assert isinstance(outcome(breaker), CircuitOpen)
