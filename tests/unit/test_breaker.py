"""Behaviour of one breaker: when it opens, whom it lets through, how it finds its way back."""

from __future__ import annotations

import asyncio
import gc
import math
import pickle
import threading
import traceback
import weakref

import pytest

from holdfast.backoff import exponential
from holdfast.breaker import BreakerOptions, CircuitBreaker, State, Verdict
from holdfast.errors import CircuitOpen, Permanent, RateLimited, Unavailable
from holdfast.events import Event
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


def test_a_closed_breaker_changes_nothing_about_a_call() -> None:
    breaker = breaker_of(FakeClock())
    assert breaker.call(divmod, 7, 2) == (3, 1)
    assert breaker.call(dict, a=1) == {"a": 1}
    with pytest.raises(ZeroDivisionError):
        breaker.call(divmod, 1, 0)


async def test_an_async_call_is_guarded_like_a_sync_one() -> None:
    breaker = breaker_of(FakeClock())

    async def echo(value: str) -> str:
        return value

    async def afail() -> None:
        fail()

    assert await breaker.acall(echo, "hello") == "hello"
    for _ in range(3):
        with pytest.raises(Down):
            await breaker.acall(afail)
    with pytest.raises(CircuitOpen):
        await breaker.acall(echo, "hello")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("xxx", State.CLOSED),  # too few to judge
        ("xxxx", State.OPEN),
        ("..xx", State.OPEN),  # exactly at the rate
        ("...x", State.CLOSED),
        ("xxx.", State.OPEN),  # a good call may be the one that makes it enough to judge
        ("." * 100 + "x" * 49, State.CLOSED),
        ("." * 1000 + "x" * 50, State.OPEN),  # only the last hundred are judged
    ],
)
def test_it_opens_at_the_failure_rate_once_there_are_calls_enough_to_judge(outcomes: str, expected: State) -> None:
    breaker = breaker_of(FakeClock())
    run(breaker, outcomes)
    assert state(breaker) is expected


def test_failures_that_have_left_the_count_window_are_forgotten() -> None:
    breaker = breaker_of(FakeClock(), BreakerOptions(window_size=4, minimum_calls=4))
    run(breaker, "x....x...")
    assert breaker.snapshot().failures == 1
    run(breaker, ".")
    assert breaker.snapshot().failures == 0
    assert state(breaker) is State.CLOSED


def test_a_time_window_forgets_what_is_older_than_itself() -> None:
    clock = FakeClock()
    breaker = breaker_of(clock, BreakerOptions(window="time", window_size=10.0, minimum_calls=4))
    run(breaker, "xxx")
    clock.advance(11.0)
    run(breaker, "x.")
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (2, 1)
    clock.advance(5.0)
    run(breaker, "xx")
    assert state(breaker) is State.OPEN


def test_a_time_window_counts_good_calls_in_their_own_time() -> None:
    clock = FakeClock()
    breaker = breaker_of(clock, BreakerOptions(window="time", window_size=10.0))
    run(breaker, "....")
    clock.advance(11.0)
    run(breaker, ".")
    assert breaker.snapshot().calls == 1


def test_an_idle_time_window_ends_up_empty() -> None:
    clock = FakeClock()
    breaker = breaker_of(clock, BreakerOptions(window="time", window_size=10.0))
    run(breaker, ".x.x")
    clock.advance(86_400.0)
    snapshot = breaker.snapshot()
    assert (snapshot.calls, snapshot.failures, snapshot.failure_rate) == (0, 0, 0.0)


@pytest.mark.parametrize("window", ["count", "time"])
def test_slow_calls_open_it_although_they_succeed(window: str) -> None:
    clock = FakeClock()
    options = BreakerOptions(window=window, minimum_calls=4, slow_call_duration=2.0, slow_call_rate=0.5)  # type: ignore[arg-type]
    breaker = breaker_of(clock, options)
    for seconds in (0.1, 2.0, 1.9):
        breaker.call(clock.pause, seconds)
    assert (breaker.snapshot().slow, state(breaker)) == (1, State.CLOSED)
    breaker.call(clock.pause, 3.0)
    assert (state(breaker), breaker.snapshot().reason) == (State.OPEN, "slow_call_rate")


def test_an_open_breaker_says_when_it_will_try_again() -> None:
    clock = FakeClock()
    breaker = opened(clock)
    clock.advance(2.0)
    with pytest.raises(CircuitOpen, match="breaker 'store' is open; retry in 3 s") as refused:
        breaker.call(pytest.fail, "called although open")
    clock.advance(refused.value.retry_after)
    breaker.call(lambda: None)
    assert state(breaker) is State.CLOSED


def test_an_open_breaker_whose_time_is_over_says_that_it_would_let_a_probe_through() -> None:
    breaker = half_opened(FakeClock())
    assert state(breaker) is State.HALF_OPEN
    assert (breaker.snapshot().state, breaker.snapshot().retry_after) == (State.HALF_OPEN, 0.0)


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


def test_a_good_probe_closes_it_with_an_empty_window() -> None:
    breaker = half_opened(FakeClock())
    run(breaker, ".")
    assert state(breaker) is State.CLOSED
    run(breaker, "xxx")
    assert state(breaker) is State.CLOSED


def test_it_closes_only_after_as_many_good_probes_as_it_was_told() -> None:
    breaker = half_opened(FakeClock(), BreakerOptions(minimum_calls=4, probe_successes=3))
    run(breaker, "..")
    assert state(breaker) is State.HALF_OPEN
    run(breaker, ".")
    assert state(breaker) is State.CLOSED


def test_one_bad_probe_opens_it_again() -> None:
    breaker = half_opened(FakeClock(), BreakerOptions(minimum_calls=4, probe_successes=3))
    run(breaker, "..x")
    assert (state(breaker), breaker.snapshot().reason) == (State.OPEN, "probe_failed")


def test_a_slow_probe_is_a_bad_one() -> None:
    clock = FakeClock()
    breaker = half_opened(clock, BreakerOptions(minimum_calls=4, slow_call_duration=2.0))
    breaker.call(clock.pause, 2.0)
    assert (state(breaker), breaker.snapshot().reason) == (State.OPEN, "probe_slow")


def test_it_stays_open_longer_each_time_until_it_has_closed() -> None:
    clock = FakeClock()
    growing = exponential(5.0, 60.0, jitter="none")
    breaker = half_opened(clock, BreakerOptions(minimum_calls=4, open_duration=growing))
    waits = []
    for _ in range(5):
        run(breaker, "x")
        waits.append(breaker.snapshot().retry_after)
        clock.advance(waits[-1])
    assert waits == [10.0, 20.0, 40.0, 60.0, 60.0]
    run(breaker, ".xxxx")
    assert breaker.snapshot().retry_after == 5.0


@pytest.mark.parametrize("permitted", [1, 3])
async def test_a_hundred_callers_at_the_half_open_moment_are_exactly_the_permitted_probes(permitted: int) -> None:
    breaker = half_opened(FakeClock(), BreakerOptions(minimum_calls=4, probes=permitted, probe_successes=permitted))
    inside, answer = 0, asyncio.Event()

    async def probe() -> None:
        nonlocal inside
        inside += 1
        await answer.wait()

    callers = [asyncio.create_task(breaker.acall(probe)) for _ in range(100)]
    _, waiting = await asyncio.wait(callers, return_when=asyncio.FIRST_EXCEPTION)
    answer.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert (inside, len(waiting)) == (permitted, permitted)
    assert sum(isinstance(outcome, CircuitOpen) for outcome in outcomes) == 100 - permitted
    assert state(breaker) is State.CLOSED


def test_a_hung_probe_loses_its_place_when_its_lease_is_over() -> None:
    clock = FakeClock()
    breaker = half_opened(clock, BreakerOptions(minimum_calls=4, probe_lease=30.0))
    hung = breaker.acquire()
    clock.advance(29.0)
    with pytest.raises(CircuitOpen) as refused:
        breaker.acquire()
    assert refused.value.retry_after == 1.0
    clock.advance(1.0)
    breaker.acquire().success()
    assert state(breaker) is State.CLOSED
    hung.failure(Down())
    assert (state(breaker), breaker.snapshot().failures) == (State.CLOSED, 0)


def test_a_late_answer_counts_as_long_as_nobody_else_has_the_place() -> None:
    clock = FakeClock()
    breaker = half_opened(clock, BreakerOptions(minimum_calls=4, probe_lease=30.0))
    probe = breaker.acquire()
    clock.advance(3600.0)
    probe.success()
    assert state(breaker) is State.CLOSED


@pytest.mark.parametrize("word", ["success", "failure"])
def test_the_outcome_of_a_call_that_began_under_an_older_state_is_ignored(word: str) -> None:
    clock = FakeClock()
    breaker = breaker_of(clock)
    old = [breaker.acquire() for _ in range(10)]
    run(breaker, "xxxx")
    getattr(old[0], word)()
    assert state(breaker) is State.OPEN
    clock.advance(5.0)
    probe = breaker.acquire()
    getattr(old[1], word)()
    assert state(breaker) is State.HALF_OPEN
    probe.success()
    for permit in old[2:]:
        getattr(permit, word)()
    assert (state(breaker), breaker.snapshot().calls) == (State.CLOSED, 0)


async def test_cancellation_counts_as_nothing() -> None:
    breaker = breaker_of(FakeClock())
    run(breaker, "xxx")
    task = asyncio.create_task(breaker.acall(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (3, 3)


async def test_a_cancelled_probe_gives_its_place_back() -> None:
    breaker = half_opened(FakeClock())
    task = asyncio.create_task(breaker.acall(asyncio.Event().wait))
    await asyncio.sleep(0)
    assert breaker.snapshot().retry_after > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert state(breaker) is State.HALF_OPEN
    run(breaker, ".")
    assert state(breaker) is State.CLOSED


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_an_interruption_says_nothing_about_the_other_side(interruption: BaseException) -> None:
    breaker = half_opened(FakeClock())
    assert outcome(breaker, interruption) is interruption
    assert state(breaker) is State.HALF_OPEN
    run(breaker, ".")


@pytest.mark.parametrize("error", [RateLimited("rate", 1.0), Permanent("no such table")])
def test_refusals_and_definite_answers_are_neither_success_nor_failure(error: Exception) -> None:
    clock = FakeClock()
    breaker = breaker_of(clock)
    run(breaker, "xxx")
    assert {outcome(breaker, error) for _ in range(10)} == {error}
    assert (breaker.snapshot().calls, state(breaker)) == (3, State.CLOSED)
    run(breaker, "x")
    clock.advance(5.0)
    assert {outcome(breaker, error) for _ in range(3)} == {error}
    assert state(breaker) is State.HALF_OPEN


def test_the_caller_may_say_what_an_error_means() -> None:
    meaning = {KeyError: Verdict.SUCCESS, ValueError: Verdict.IGNORE}
    breaker = CircuitBreaker("store", QUICK, classify=lambda error: meaning.get(type(error), Verdict.FAILURE))
    for error in (KeyError(), ValueError(), KeyError(), Down()):
        assert outcome(breaker, error) is error
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (3, 1)


def test_a_classifier_that_fails_hides_no_error_and_the_call_counts_as_failed(caplog: pytest.LogCaptureFixture) -> None:
    def confused(error: Exception) -> Verdict:
        raise LookupError("no idea")

    breaker = CircuitBreaker("store", QUICK, classify=confused)
    run(breaker, "x")
    assert breaker.snapshot().failures == 1
    assert "no idea" in caplog.text


def test_an_isolated_breaker_lets_nobody_through_however_long_it_takes() -> None:
    clock = FakeClock()
    breaker = breaker_of(clock)
    breaker.isolate()
    for _ in range(3):
        clock.advance(86_400.0)
        with pytest.raises(CircuitOpen, match="isolated") as refused:
            breaker.call(pytest.fail, "called although isolated")
        assert 0 < refused.value.retry_after < math.inf


def test_a_released_breaker_probes_first() -> None:
    breaker = breaker_of(FakeClock())
    breaker.isolate()
    breaker.release()
    assert state(breaker) is State.HALF_OPEN
    run(breaker, "x")
    assert state(breaker) is State.OPEN


def test_release_does_nothing_to_a_breaker_that_is_not_isolated() -> None:
    clock = FakeClock()
    for breaker in (breaker_of(clock), opened(clock)):
        before = breaker.snapshot()
        breaker.release()
        assert breaker.snapshot() == before


def test_reset_closes_it_whatever_it_was() -> None:
    clock = FakeClock()
    isolated = breaker_of(clock)
    isolated.isolate()
    for breaker in (breaker_of(clock), opened(clock), half_opened(clock), isolated):
        breaker.reset()
        assert (state(breaker), breaker.snapshot().calls) == (State.CLOSED, 0)


def test_while_it_only_observes_it_counts_and_lets_everyone_through() -> None:
    breaker = breaker_of(FakeClock())
    breaker.observe()
    run(breaker, "x" * 50 + ".")
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.calls, snapshot.failures) == (State.METRICS_ONLY, 51, 50)
    assert breaker.state.passes
    breaker.release()
    assert (state(breaker), breaker.snapshot().calls) == (State.CLOSED, 0)
    run(breaker, "xxxx")
    assert state(breaker) is State.OPEN
    assert not breaker.state.passes


def test_an_open_breaker_can_be_forced_closed_and_then_counts_nothing() -> None:
    breaker = opened(FakeClock())
    breaker.force_close()
    run(breaker, "x" * 50 + ".")
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.calls, snapshot.retry_after) == (State.FORCED_CLOSED, 0, 0.0)
    assert breaker.state.passes
    breaker.release()
    assert state(breaker) is State.CLOSED
    run(breaker, "xxxx")
    assert state(breaker) is State.OPEN


def test_what_began_before_it_was_forced_says_nothing_afterwards() -> None:
    breaker = breaker_of(FakeClock())
    old = [breaker.acquire() for _ in range(8)]
    for change in (breaker.observe, breaker.force_close, breaker.isolate, breaker.reset):
        change()
        old.pop().failure()
        old.pop().success()
        assert breaker.snapshot().calls == 0


async def test_a_result_can_be_a_failure() -> None:
    def judge(status: int) -> Verdict:
        return Verdict.FAILURE if status >= 500 else Verdict.IGNORE if status == 429 else Verdict.SUCCESS

    clock = FakeClock()
    breaker = CircuitBreaker("store", QUICK, classify_result=judge, clock=clock)

    async def answer(status: int) -> int:
        return status

    assert breaker.call(int, 429) == 429
    assert breaker.call(int, 200) == 200
    assert await breaker.acall(answer, 404) == 404
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (2, 0)
    for _ in range(2):
        assert await breaker.acall(answer, 503) == 503
    with pytest.raises(CircuitOpen, match="last failure: int: a result that counts as failed"):
        breaker.call(int, 200)
    clock.advance(5.0)
    breaker.call(int, 429)
    assert state(breaker) is State.HALF_OPEN
    breaker.call(int, 503)
    assert (state(breaker), breaker.snapshot().reason) == (State.OPEN, "probe_failed")


def test_a_judge_of_results_that_fails_hides_no_result_and_the_call_counts_as_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def confused(result: object) -> Verdict:
        raise LookupError("no idea")

    breaker = CircuitBreaker("store", QUICK, classify_result=confused)
    assert breaker.call(lambda: "answer") == "answer"
    assert breaker.snapshot().failures == 1
    assert "no idea" in caplog.text


def test_a_refusal_names_the_real_error_and_keeps_none_of_its_frames() -> None:
    breaker = opened(FakeClock())
    refusal = outcome(breaker)
    assert isinstance(refusal, CircuitOpen)
    assert str(refusal) == "breaker 'store' is open; retry in 5 s; last failure: Down: "
    assert refusal.last_failure == breaker.snapshot().last_failure
    assert refusal.__context__ is None
    assert str(pickle.loads(pickle.dumps(refusal))) == str(refusal)


def test_a_permit_settles_by_how_its_block_ends() -> None:
    breaker = breaker_of(FakeClock())
    with breaker.acquire():
        pass
    with pytest.raises(Down), breaker.acquire():
        fail()
    with pytest.raises(RateLimited), breaker.acquire():
        raise RateLimited("rate", 1.0)
    assert (breaker.snapshot().calls, breaker.snapshot().failures) == (2, 1)


def test_only_the_first_word_on_a_permit_counts() -> None:
    breaker = breaker_of(FakeClock())
    with breaker.acquire() as permit:
        permit.failure(Down("half an answer"))
    permit.success()
    permit.release()
    snapshot = breaker.snapshot()
    assert (snapshot.calls, snapshot.failures) == (1, 1)
    assert snapshot.last_failure is not None
    assert snapshot.last_failure.text == "half an answer"


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


def test_an_error_without_a_text_is_still_a_failure() -> None:
    breaker = breaker_of(FakeClock())

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert isinstance(outcome(breaker, Mute()), Mute)
    assert breaker.snapshot().failures == 1


def test_the_wall_clock_may_jump_and_nothing_happens() -> None:
    clock = FakeClock()
    breaker = opened(clock)
    began = breaker.snapshot().since
    for jump in (5 * 3600, -10 * 3600):
        clock.correct(jump)
        assert (state(breaker), breaker.snapshot().retry_after) == (State.OPEN, 5.0)
    clock.advance(5.0)
    run(breaker, ".")
    assert breaker.snapshot().since == began + 5.0 - 5 * 3600


def test_listeners_hear_of_changes_and_refusals_while_no_lock_is_held() -> None:
    clock, heard, stuck = FakeClock(), list[Event](), list[bool]()

    def listen(event: Event) -> None:
        heard.append(event)
        other = threading.Thread(target=breaker.snapshot, daemon=True)
        other.start()
        other.join(5.0)
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


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"window": "calls"}, "window"),
        ({"window_size": 0}, "window_size"),
        ({"window_size": 2.5}, "window_size"),
        ({"window": "time", "window_size": math.inf}, "window_size"),
        ({"window_size": 5}, "minimum_calls"),
        ({"minimum_calls": 0}, "minimum_calls"),
        ({"failure_rate": 0.0}, "failure_rate"),
        ({"failure_rate": 50}, "failure_rate"),
        ({"failure_rate": math.nan}, "failure_rate"),
        ({"slow_call_rate": 1.1}, "slow_call_rate"),
        ({"slow_call_duration": 0.0}, "slow_call_duration"),
        ({"open_duration": 0.0}, "open_duration"),
        ({"open_duration": math.inf}, "open_duration"),
        ({"probes": 0}, "probes"),
        ({"probe_lease": math.inf}, "probe_lease"),
        ({"probe_successes": 0}, "probe_successes"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(options: dict[str, object], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be .*, got "):
        BreakerOptions(**options)  # type: ignore[arg-type]


def test_a_transient_error_of_ours_is_a_failure() -> None:
    breaker = breaker_of(FakeClock())

    for _ in range(4):
        assert isinstance(outcome(breaker, Unavailable("nobody there")), Unavailable)
    assert state(breaker) is State.OPEN
