"""Behaviour of retry, on a clock that the test moves."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.backoff import constant, exponential
from holdfast.errors import CircuitOpen, HoldfastError, Permanent, RateLimited, Throttled, Unavailable
from holdfast.events import Event
from holdfast.retry import Retry, RetryResult
from holdfast.retry_after import parse_retry_after
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout
from tests.support.flaky import Flaky, down


def test_it_tries_again_until_it_works_and_waits_between() -> None:
    clock, work = FakeClock(monotonic=0.0), Flaky(*down(2))
    retry = Retry(5, exponential(1.0, 60.0, jitter="none"), clock=clock)
    assert retry.call(work, value="hello") == "hello"
    assert (work.calls, clock.monotonic()) == (3, 1.0 + 2.0)


async def test_it_tries_an_async_call_again_in_the_same_way() -> None:
    clock, work = FakeClock(), Flaky(*down(2))
    task = asyncio.create_task(Retry(5, constant(1.0), clock=clock).acall(work.later, "hello"))
    for calls in (1, 2):
        await clock.until_waiting()
        assert work.calls == calls
        clock.advance(1.0)
    assert await task == "hello"


def test_the_last_error_comes_out_as_it_is() -> None:
    errors = down(9)
    work = Flaky(*errors)
    with pytest.raises(Unavailable) as caught:
        Retry(3, clock=FakeClock()).call(work)
    assert caught.value is errors[2]
    assert work.calls == 3


@pytest.mark.parametrize("error", [Permanent("no"), ValueError("bug"), CircuitOpen("open", 0.1), TimeoutError()])
def test_what_is_not_known_to_be_transient_is_tried_once(error: Exception) -> None:
    work = Flaky(error)
    with pytest.raises(type(error)):
        Retry(3, clock=FakeClock()).call(work)
    assert work.calls == 1


def test_the_caller_may_say_what_to_retry() -> None:
    work = Flaky(ConnectionResetError(), ConnectionResetError())
    retry = Retry(3, retry_on=lambda error: isinstance(error, ConnectionError), clock=FakeClock())
    assert retry.call(work) == "done"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_interruption_is_never_retried(interruption: type[BaseException]) -> None:
    work = Flaky(interruption())
    with pytest.raises(interruption):
        Retry(3, retry_on=lambda _: True, clock=FakeClock()).call(work)
    assert work.calls == 1


async def test_a_cancelled_wait_ends_it() -> None:
    clock, work = FakeClock(), Flaky(*down(2))
    task = asyncio.create_task(Retry(5, clock=clock).acall(work.later))
    await clock.until_waiting()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (work.calls, clock.waiting) == (1, 0)


def test_it_waits_as_long_as_a_refusal_asks_for() -> None:
    clock, work = FakeClock(monotonic=0.0), Flaky(RateLimited("rate", 7.0))
    Retry(3, constant(1.0), retry_on=lambda error: isinstance(error, HoldfastError), clock=clock).call(work)
    assert clock.monotonic() == 7.0


def test_a_refusal_that_asks_for_too_long_is_final() -> None:
    clock, work = FakeClock(monotonic=0.0), Flaky(RateLimited("rate", 31.0))
    with pytest.raises(RateLimited):
        Retry(3, retry_on=lambda _: True, max_wait=30.0, clock=clock).call(work)
    assert (work.calls, clock.monotonic()) == (1, 0.0)


def test_it_does_not_wait_beyond_the_enclosing_deadline() -> None:
    clock, work = FakeClock(monotonic=0.0), Flaky(*down(9))
    with pytest.raises(Unavailable, match="attempt 3"):
        Timeout(5.0, clock=clock).call(Retry(9, constant(2.0), clock=clock).call, work)
    assert (work.calls, clock.monotonic()) == (3, 4.0)


def test_listeners_hear_of_every_wait_and_of_giving_up() -> None:
    heard = list[Event]()
    retry = Retry(2, constant(1.0), name="store", clock=FakeClock(), listener=heard.append)
    with pytest.raises(Unavailable):
        retry.call(Flaky(*down(2)))
    assert [(event.name, event.source, dict(event.attributes)) for event in heard] == [
        ("retry.scheduled", "store", {"attempt": 1, "error.type": "Unavailable", "delay": 1.0}),
        ("retry.gave_up", "store", {"attempt": 2, "error.type": "Unavailable", "reason": "attempts"}),
    ]


@pytest.mark.parametrize("classes", [ConnectionError, (KeyError, ConnectionError)])
def test_what_to_retry_may_be_named_by_class(classes: type[Exception] | tuple[type[Exception], ...]) -> None:
    assert Retry(2, retry_on=classes, clock=FakeClock()).call(Flaky(ConnectionResetError())) == "done"
    with pytest.raises(Unavailable):
        Retry(2, retry_on=classes, clock=FakeClock()).call(Flaky(*down(1)))


async def test_a_result_may_be_worth_another_attempt_and_the_last_one_is_returned() -> None:
    clock, answers = FakeClock(), ["no", "no", "yes", "no", "no", "no", "no"]
    retry = Retry(3, constant(1.0), retry_result=lambda answer: answer == "no", clock=clock)
    assert retry.run(answers.pop, 0) == RetryResult("yes", 3, 2.0)
    assert retry.run(answers.pop, 0) == RetryResult("no", 3, 2.0)

    async def later() -> str:
        return answers.pop()

    assert await Retry(1, retry_result=lambda answer: answer == "no", clock=clock).acall(later) == "no"


async def test_the_result_tells_how_many_attempts_it_took_and_how_long_was_waited() -> None:
    clock = FakeClock()
    retry = Retry(5, exponential(1.0, 60.0, jitter="none"), clock=clock)
    assert retry.run(Flaky(*down(3)), "hello") == RetryResult("hello", 4, 1.0 + 2.0 + 4.0)
    assert await retry.arun(Flaky().later, "hello") == RetryResult("hello", 1, 0.0)
    task = asyncio.create_task(retry.arun(Flaky(*down(1)).later))
    await clock.until_waiting()
    clock.advance(1.0)
    assert await task == RetryResult("done", 2, 1.0)


def test_what_the_other_side_asks_for_is_waited_for() -> None:
    clock, work = FakeClock(monotonic=0.0), Flaky(Throttled(retry_after=7.0), Throttled(retry_after=0.25))
    assert Retry(3, constant(1.0), clock=clock).run(work).total_delay == 7.0 + 1.0


@pytest.mark.parametrize("nonsense", [-5.0, float("nan")])
def test_a_wait_that_makes_no_sense_is_not_believed(nonsense: float) -> None:
    assert Retry(2, constant(1.0), clock=FakeClock()).run(Flaky(Throttled(retry_after=nonsense))).total_delay == 1.0


@pytest.mark.parametrize("asked", [31.0, float("inf")])
def test_a_wait_may_be_clamped_instead_of_being_final(asked: float) -> None:
    retry = Retry(2, max_wait=30.0, clamp=True, clock=FakeClock())
    assert retry.run(Flaky(Throttled(retry_after=asked))).total_delay == 30.0


def test_the_wait_may_be_taken_from_an_error_that_is_not_ours() -> None:
    class Busy(Exception):
        retry_after = "12"

    def ask(error: Exception) -> float | None:
        return parse_retry_after(error.retry_after) if isinstance(error, Busy) else None

    retry = Retry(3, constant(1.0), retry_on=Exception, wait_from=ask, clock=FakeClock())
    assert retry.run(Flaky(Busy(), KeyError())).total_delay == 12.0 + 1.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("-5", 0.0),
        ("1e3", 0.0),
        ("²", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_the_header_is_a_number_or_a_date_and_nonsense_asks_for_nothing(header: str | None, seconds: float) -> None:
    assert parse_retry_after(header, clock=FakeClock(time=1_700_000_000.0)) == seconds


@pytest.mark.parametrize("broken", ["retry_on", "wait_from"])
def test_a_predicate_that_fails_hides_no_error_and_nothing_is_retried(
    broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    def confused(error: Exception) -> bool:
        raise LookupError("no idea")

    work = Flaky(*down(1))
    with pytest.raises(Unavailable, match="attempt 1"):
        Retry(3, clock=FakeClock(), **{broken: confused}).call(work)  # type: ignore[arg-type]
    assert work.calls == 1
    assert "no idea" in caplog.text


def test_a_predicate_of_results_that_fails_hides_no_result(caplog: pytest.LogCaptureFixture) -> None:
    def confused(result: object) -> bool:
        raise LookupError("no idea")

    assert Retry(3, retry_result=confused, clock=FakeClock()).run(Flaky()) == RetryResult("done", 1, 0.0)
    assert "no idea" in caplog.text


def test_a_block_is_tried_again_until_it_works() -> None:
    clock, work, numbers = FakeClock(monotonic=0.0), Flaky(*down(2)), list[int]()
    for attempt in Retry(5, constant(1.0), clock=clock):
        with attempt:
            numbers.append(attempt.number)
            work()
    assert (numbers, work.calls, clock.monotonic()) == ([1, 2, 3], 3, 2.0)


async def test_an_async_block_is_tried_again_and_its_last_error_comes_out() -> None:
    clock, work = FakeClock(), Flaky(*down(9))

    async def block() -> None:
        async for attempt in Retry(3, constant(1.0), clock=clock):
            with attempt:
                await work.later()

    task = asyncio.create_task(block())
    for _ in range(2):
        await clock.until_waiting()
        clock.advance(1.0)
    with pytest.raises(Unavailable, match="attempt 3"):
        await task


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_interrupted_block_is_not_tried_again(interruption: type[BaseException]) -> None:
    work = Flaky(interruption())
    with pytest.raises(interruption):  # noqa: PT012 - the loop is what is tested
        for attempt in Retry(3, retry_on=lambda _: True, clock=FakeClock()):
            with attempt:
                work()
    assert work.calls == 1


def test_one_attempt_is_no_retry_at_all() -> None:
    with pytest.raises(Unavailable):
        Retry(1, clock=FakeClock()).call(Flaky(*down(1)))


@pytest.mark.parametrize("options", [{"attempts": 0}, {"max_wait": -1.0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        Retry(**options)  # type: ignore[arg-type]
