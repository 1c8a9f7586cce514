"""Behaviour of retry, on a clock that the test moves."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.backoff import constant, exponential
from holdfast.errors import CircuitOpen, HoldfastError, Permanent, RateLimited, Unavailable
from holdfast.events import Event
from holdfast.retry import Retry
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout


class Flaky:
    """Raises the given errors one after the other, then works."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, value: str = "done") -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return value

    async def later(self, value: str = "done") -> str:
        await asyncio.sleep(0)
        return self(value)


def down(times: int) -> list[Unavailable]:
    return [Unavailable(f"attempt {number}") for number in range(1, times + 1)]


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
        ("retry.scheduled", "store", {"attempt": 1, "error": "Unavailable", "delay": 1.0}),
        ("retry.gave_up", "store", {"attempt": 2, "error": "Unavailable"}),
    ]


def test_one_attempt_is_no_retry_at_all() -> None:
    with pytest.raises(Unavailable):
        Retry(1, clock=FakeClock()).call(Flaky(*down(1)))


@pytest.mark.parametrize("options", [{"attempts": 0}, {"max_wait": -1.0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        Retry(**options)  # type: ignore[arg-type]
