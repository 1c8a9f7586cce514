"""What counts as a failure for a breaker, what as a success, and what as nothing."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.breaker import CircuitBreaker, State, Verdict
from holdfast.errors import CircuitOpen, Permanent, RateLimited, Unavailable
from holdfast.testing.clock import FakeClock
from tests.support.breakers import QUICK, Down, breaker_of, fail, half_opened, outcome, run, state


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


def test_an_error_without_a_text_is_still_a_failure() -> None:
    breaker = breaker_of(FakeClock())

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert isinstance(outcome(breaker, Mute()), Mute)
    assert breaker.snapshot().failures == 1


def test_a_transient_error_of_ours_is_a_failure() -> None:
    breaker = breaker_of(FakeClock())

    for _ in range(4):
        assert isinstance(outcome(breaker, Unavailable("nobody there")), Unavailable)
    assert state(breaker) is State.OPEN
