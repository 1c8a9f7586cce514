"""Behaviour of the fallback."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.errors import CircuitOpen, Permanent, TimedOut, Unavailable
from holdfast.events import Event
from holdfast.fallback import Fallback


def failing(error: BaseException) -> None:
    raise error


async def failing_later(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", [Unavailable("down"), TimedOut("late"), CircuitOpen("open")])
async def test_what_cannot_be_answered_now_is_answered_with_something_else(error: Exception) -> None:
    given = list[Exception]()

    def instead(error: Exception) -> str:
        given.append(error)
        return "something else"

    async def later(error: Exception) -> str:
        return instead(error)

    assert Fallback(instead).call(failing, error) == "something else"  # type: ignore[func-returns-value]
    assert await Fallback(instead).acall(failing_later, error) == "something else"  # type: ignore[func-returns-value]
    assert await Fallback(later).acall(failing_later, error) == "something else"  # type: ignore[func-returns-value]
    assert given == [error] * 3


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, asyncio.CancelledError])
async def test_an_interruption_is_nothing_to_stand_in_for(interruption: type[BaseException]) -> None:
    fallback = Fallback(lambda _: pytest.fail("stood in"), on=lambda _: True)
    with pytest.raises(interruption):
        fallback.call(failing, interruption())
    with pytest.raises(interruption):
        await fallback.acall(failing_later, interruption())


@pytest.mark.parametrize("error", [Permanent("no"), KeyError("a bug")])
async def test_a_definite_answer_and_a_bug_come_out_as_they_are(error: BaseException) -> None:
    fallback = Fallback(lambda _: pytest.fail("stood in"))
    with pytest.raises(type(error)):
        fallback.call(failing, error)
    with pytest.raises(type(error)):
        await fallback.acall(failing_later, error)


async def test_a_good_answer_is_left_alone() -> None:
    fallback = Fallback(lambda _: pytest.fail("stood in"))
    assert fallback.call(lambda: "answer") == "answer"
    assert await fallback.acall(asyncio.sleep, 0, "answer") == "answer"


def test_the_caller_may_say_what_it_stands_in_for() -> None:
    assert Fallback(lambda _: 0, on=KeyError).call({}.__getitem__, "x") == 0
    assert Fallback(lambda _: 0, on=lambda error: "x" in error.args).call({}.__getitem__, "x") == 0
    with pytest.raises(Unavailable):
        Fallback(lambda _: 0, on=KeyError).call(failing, Unavailable("down"))


def test_a_predicate_that_fails_hides_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Unavailable):
        Fallback(lambda _: 0, on=lambda _: failing(LookupError("no idea")) is None).call(failing, Unavailable("down"))  # type: ignore[func-returns-value]
    assert "no idea" in caplog.text


def test_a_fallback_that_fails_tells_what_it_stood_in_for() -> None:
    with pytest.raises(LookupError, match="nothing cached") as caught:
        Fallback(lambda _: failing(LookupError("nothing cached"))).call(failing, Unavailable("down"))  # type: ignore[func-returns-value]
    assert isinstance(caught.value.__context__, Unavailable)


def test_listeners_hear_when_it_is_used() -> None:
    heard = list[Event]()
    fallback = Fallback(lambda _: None, name="store", listener=heard.append)
    fallback.call(failing, Unavailable("down"))
    fallback.call(int)
    assert heard == [Event("fallback.used", "store", {"error.type": "Unavailable"})]
