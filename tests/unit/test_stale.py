"""Behaviour of answers from memory, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.errors import CircuitOpen, Permanent, Unavailable
from holdfast.events import Event
from holdfast.stale import StaleOnError, StaleResult
from holdfast.testing.clock import FakeClock


class Source:
    """Answers with how often it was asked, or raises."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: BaseException | None = None

    def __call__(self, *_args: Any, **_kwargs: Any) -> int:
        self.calls += 1
        if self.error:
            raise self.error
        return self.calls

    async def later(self, *args: Any, **kwargs: Any) -> int:
        return self(*args, **kwargs)


@pytest.mark.parametrize("error", [Unavailable("down"), CircuitOpen("open")])
async def test_when_a_call_fails_the_last_good_result_is_given_and_its_age_told(error: Exception) -> None:
    clock, source = FakeClock(), Source()
    stale = StaleOnError(60.0, clock=clock)
    assert stale.run(source) == StaleResult(1, 0.0, None)
    assert await stale.arun(source.later) == StaleResult(2, 0.0, None)
    clock.advance(59.0)
    source.error = error
    assert stale.run(source) == StaleResult(1, 59.0, error)
    assert await stale.arun(source.later) == StaleResult(2, 59.0, error)
    assert (stale.call(source), await stale.acall(source.later)) == (1, 2)


def test_what_is_too_old_is_not_given() -> None:
    clock, source = FakeClock(), Source()
    stale = StaleOnError(60.0, clock=clock)
    stale.call(source)
    source.error = Unavailable("down")
    clock.advance(60.0)
    with pytest.raises(Unavailable):
        stale.call(source)


def test_what_was_never_asked_before_is_not_made_up() -> None:
    source, stale = Source(), StaleOnError(60.0)
    stale.call(source, "a", b=1)
    source.error = Unavailable("down")
    for args, kwargs in ((("b",), {"b": 1}), (("a",), {"b": 2}), ((), {})):
        with pytest.raises(Unavailable):
            stale.call(source, *args, **kwargs)
    with pytest.raises(Unavailable):
        stale.call(source.__call__, "a", b=1)
    assert stale.call(source, "a", b=1) == 1


@pytest.mark.parametrize("error", [Permanent("gone"), KeyError("a bug"), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_a_definite_answer_a_bug_and_an_interruption_come_out_as_they_are(error: BaseException) -> None:
    source, stale = Source(), StaleOnError(60.0)
    stale.call(source)
    await stale.acall(source.later)
    source.error = error
    with pytest.raises(type(error)):
        stale.call(source)
    with pytest.raises(type(error)):
        await stale.acall(source.later)


async def test_a_fresh_result_is_given_without_a_call() -> None:
    clock, source = FakeClock(), Source()
    stale = StaleOnError(60.0, fresh_for=10.0, clock=clock)
    stale.call(source)
    await stale.acall(source.later)
    clock.advance(9.0)
    assert (stale.run(source), await stale.arun(source.later)) == (StaleResult(1, 9.0), StaleResult(2, 9.0))
    assert source.calls == 2
    clock.advance(1.0)
    assert stale.run(source) == StaleResult(3)


async def test_a_call_that_began_earlier_and_ends_later_does_not_replace_a_newer_result() -> None:
    clock = FakeClock()
    stale = StaleOnError(60.0, key=lambda _: "all", clock=clock)
    answers = {"old": asyncio.Event(), "new": asyncio.Event()}

    async def read(which: str) -> str:
        if which == "fail":
            raise Unavailable("down")
        await answers[which].wait()
        return which

    old = asyncio.create_task(stale.acall(read, "old"))
    await asyncio.sleep(0)
    clock.advance(1.0)
    new = asyncio.create_task(stale.acall(read, "new"))
    await asyncio.sleep(0)
    for which, task in (("new", new), ("old", old)):
        answers[which].set()
        assert await task == which
    assert await stale.acall(read, "fail") == "new"


def test_only_so_many_results_are_kept_and_the_one_used_least_lately_goes_first() -> None:
    source, stale = Source(), StaleOnError(60.0, size=2, fresh_for=60.0)
    assert [stale.call(source, key) for key in "abac"] == [1, 2, 1, 3]
    assert stale.call(source, "a") == 1
    assert stale.call(source, "b") == 4
    stale.forget()
    assert stale.call(source, "b") == 5


def test_listeners_hear_what_was_given_for_which_error() -> None:
    clock, source, heard = FakeClock(), Source(), list[Event]()
    stale = StaleOnError(60.0, name="store", clock=clock, listener=heard.append)
    stale.call(source)
    source.error = Unavailable("down")
    clock.advance(5.0)
    stale.call(source)
    assert heard == [Event("stale.served", "store", {"age": 5.0, "error.type": "Unavailable"})]


@pytest.mark.parametrize(
    "options", [{"max_age": 0.0}, {"max_age": 1.0, "fresh_for": -1.0}, {"max_age": 1.0, "size": 0}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        StaleOnError(**options)
