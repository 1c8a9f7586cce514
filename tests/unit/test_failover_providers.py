"""Behaviour of failover among providers: who is asked, when it stops, and what comes out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from holdfast.errors import OutcomeUnknown, Permanent, Unavailable
from holdfast.failover import (
    AllProvidersFailed,
    Failed,
    Failover,
    Invalid,
    NoCandidate,
    NotFound,
    Provider,
    Succeeded,
    functions,
    nothing_happened,
    sync_functions,
)
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout, timeout

Send = Callable[[str], Awaitable[str]]


class Mail(Protocol):
    async def send(self, text: str) -> str: ...

    async def count(self) -> int: ...


class Postmark:
    """Does what its `answer` says: raises it, or returns it with the text."""

    def __init__(self, name: str, answer: str | Exception) -> None:
        self.name = name
        self.answer = answer
        self.asked: list[str] = []

    async def send(self, text: str) -> str:
        self.asked.append(text)
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return f"{self.answer} {text}"

    async def count(self) -> int:
        return len(self.asked)


class OnlyCounts:
    async def count(self) -> int:
        return 7


def mail(*answers: str | Exception) -> tuple[Failover[Mail], list[Postmark]]:
    """Providers a, b, c … that answer so."""
    implementations = [Postmark("abcdefg"[index], answer) for index, answer in enumerate(answers)]
    return Failover[Mail]("mail", [Provider(each) for each in implementations]), implementations


def asked(implementations: list[Postmark]) -> list[int]:
    return [len(each.asked) for each in implementations]


async def test_the_first_provider_answers_and_nobody_else_is_asked() -> None:
    failover, providers = mail("sent", "sent")
    assert await failover.method(Mail.send)("hello") == "sent hello"
    assert asked(providers) == [1, 0]


async def test_a_failure_goes_on_to_the_next_and_the_answer_says_so() -> None:
    failover, providers = mail(Unavailable("a is down"), "sent", "sent")
    execution = await failover.method(Mail.send).execute("hello")
    assert (execution.provider, execution.result, execution.failover_used) == ("b", "sent hello", True)
    assert asked(providers) == [1, 1, 0]
    assert [outcome.provider for outcome in execution.outcomes] == ["a", "b"]


async def test_when_all_fail_every_error_is_carried_in_order() -> None:
    errors = Unavailable("a is down"), ConnectionResetError("b"), RuntimeError("c")
    failover, _ = mail(*errors)
    with pytest.raises(AllProvidersFailed) as caught:
        await failover.method(Mail.send)("hello")
    assert caught.value.exceptions == errors
    assert [(each.provider, each.error, each.tries) for each in caught.value.outcomes] == [
        (name, error, 1) for name, error in zip("abc", errors, strict=True)
    ]
    assert caught.value.unsure


async def test_if_nothing_can_have_happened_the_error_says_so() -> None:
    failover, _ = mail(Unavailable("a is down"), ConnectionRefusedError("b"))
    with pytest.raises(AllProvidersFailed) as caught:
        await failover.method(Mail.send)("hello")
    assert not caught.value.unsure


async def test_a_definite_no_is_raised_as_it_is_and_nobody_else_is_asked() -> None:
    no = Permanent("no such address")
    failover, providers = mail(no, "sent")
    with pytest.raises(Permanent) as caught:
        await failover.method(Mail.send)("hello")
    assert caught.value is no
    assert asked(providers) == [1, 0]


async def test_what_must_not_happen_twice_stops_at_an_unsure_answer() -> None:
    failover, providers = mail(Unavailable("a is down"), OutcomeUnknown("b said nothing"), "sent")
    with pytest.raises(OutcomeUnknown, match="b said nothing"):
        await failover.method(Mail.send, fail_over_on=nothing_happened)("hello")
    assert asked(providers) == [1, 1, 0]


async def test_a_classifier_that_fails_asks_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_error: Exception) -> bool:
        raise ZeroDivisionError

    failover, providers = mail(Unavailable("a is down"), "sent")
    with pytest.raises(Unavailable, match="a is down"):
        await failover.method(Mail.send, fail_over_on=broken)("hello")
    assert asked(providers) == [1, 0]
    assert "ZeroDivisionError" in caplog.text


async def test_the_given_names_are_asked_alone_and_in_their_order() -> None:
    failover, providers = mail("sent", Unavailable("b is down"), Unavailable("c is down"))
    with pytest.raises(AllProvidersFailed) as caught:
        await failover.method(Mail.send).only("c", "b")("hello")
    assert [str(error) for error in caught.value.exceptions] == ["c is down", "b is down"]
    assert asked(providers) == [0, 1, 1]


async def test_a_preferred_provider_goes_first_and_the_others_follow() -> None:
    failover, providers = mail("sent", "sent", Unavailable("c is down"))
    execution = await failover.method(Mail.send).prefer("c").execute("hello")
    assert [outcome.provider for outcome in execution.outcomes] == ["c", "a"]
    assert asked(providers) == [1, 0, 1]


def test_no_name_at_all_is_an_error_at_once() -> None:
    failover, _ = mail("sent")
    with pytest.raises(Invalid, match="at least one provider"):
        failover.method(Mail.send).only()


def test_a_name_nobody_has_is_an_error_at_once() -> None:
    failover, _ = mail("sent")
    with pytest.raises(NotFound, match="no provider 'z'; it has a"):
        failover.method(Mail.send).only("a", "z")
    with pytest.raises(LookupError):
        failover.method(Mail.send).prefer("z")


async def test_all_asks_everyone_and_raises_none_of_their_errors() -> None:
    down = Unavailable("b is down")
    failover, _ = mail("sent", down, Permanent("no"))
    first, second, third = await failover.method(Mail.send).all("hello")
    assert isinstance(first, Succeeded)
    assert (first.provider, first.result) == ("a", "sent hello")
    assert isinstance(second, Failed)
    assert (second.provider, second.error) == ("b", down)
    assert isinstance(third, Failed)
    assert third.provider == "c"


async def test_all_asks_at_the_same_time() -> None:
    meeting = asyncio.Barrier(3)

    async def meet(who: str) -> str:
        await meeting.wait()
        return who

    failover = Failover[Send]("meet", [Provider(meet, name) for name in "abc"])
    async with timeout(60):
        outcomes = await failover.method().all("x")
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)


async def test_any_takes_the_first_success_whatever_failed_before() -> None:
    async def slow(_text: str) -> str:
        await asyncio.Event().wait()
        return "never"

    async def down(_text: str) -> str:
        raise Permanent("no")

    async def quick(text: str) -> str:
        await asyncio.sleep(0)
        return text

    execution = await functions("race", slow, down, quick).any("hello")
    assert (execution.provider, execution.result) == ("quick", "hello")


async def test_no_loser_of_any_goes_on_after_it_returned() -> None:
    effects: list[str] = []
    cleaned: list[str] = []
    gate = asyncio.Event()

    async def loser(text: str) -> str:
        try:
            await gate.wait()
            effects.append(text)
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            cleaned.append(text)
        return text

    async def winner(text: str) -> str:
        await asyncio.sleep(0)
        return text

    assert (await functions("race", loser, winner).any("hello")).provider == "winner"
    assert cleaned == ["hello"]
    gate.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert effects == []


async def test_a_loser_that_could_not_be_stopped_is_among_the_outcomes() -> None:
    async def stubborn(text: str) -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return text

    async def winner(text: str) -> str:
        await asyncio.sleep(0)
        return text

    execution = await functions("race", stubborn, winner).any("hello")
    assert execution.provider == "winner"
    assert [outcome.provider for outcome in execution.outcomes] == ["stubborn", "winner"]


async def test_any_without_a_success_carries_every_error() -> None:
    failover, _ = mail(Unavailable("a is down"), Permanent("no"))
    with pytest.raises(AllProvidersFailed) as caught:
        await failover.method(Mail.send).any("hello")
    assert [str(error) for error in caught.value.exceptions] == ["a is down", "no"]


async def test_a_provider_without_the_method_is_not_asked_for_it() -> None:
    failover = Failover("mail", [Provider(OnlyCounts()), *mail("sent")[0].providers])
    assert await failover.method(Mail.send)("hello") == "sent hello"  # type: ignore[arg-type]
    assert await failover.method(OnlyCounts.count)() == 7  # type: ignore[arg-type]


async def test_with_nobody_to_ask_it_says_so() -> None:
    with pytest.raises(NoCandidate):
        await Failover[Mail]("mail").method(Mail.send)("hello")


async def test_two_methods_of_one_failover_are_typed_and_apart() -> None:
    failover, providers = mail("sent", "sent")
    await failover.method(Mail.send)("hello")
    assert await failover.method(Mail.count)() == 1
    assert asked(providers) == [1, 0]


async def test_failovers_side_by_side_know_nothing_of_each_other() -> None:
    first, providers = mail(Unavailable("a is down"), "sent")
    second = Failover[Mail]("other", [Provider(providers[1])])
    await first.method(Mail.send)("hello")
    assert second.stats().requests == 0
    assert second.attempts() == []


def test_two_providers_of_one_name_are_refused() -> None:
    with pytest.raises(Invalid, match="has a provider 'a' already"):
        Failover("mail", [Provider(Postmark("a", "sent")), Provider(Postmark("a", "sent"))])


async def test_providers_come_and_go_while_it_is_used() -> None:
    failover, _ = mail("sent")
    send = failover.method(Mail.send)
    failover.register(Provider(Postmark("late", "late")))
    failover.remove("a")
    assert await send("hello") == "late hello"
    failover.replace(Provider(Postmark("late", "new")))
    assert await send("hello") == "new hello"
    with pytest.raises(NotFound):
        failover.replace(Provider(Postmark("gone", "new")))


def test_a_name_comes_from_the_implementation_if_none_is_given() -> None:
    def lookup() -> None: ...

    assert Provider(lookup).name == "lookup"
    assert Provider(Postmark("mine", "sent")).name == "mine"
    assert Provider(OnlyCounts()).name == "OnlyCounts"


def test_plain_functions_fail_over_without_an_event_loop() -> None:
    def primary(number: int) -> int:
        raise ConnectionRefusedError

    def backup(number: int) -> int:
        return number + 1

    execution = sync_functions("count", primary, backup).execute(1)
    assert (execution.provider, execution.result) == ("backup", 2)
    first, second = sync_functions("count", primary, backup).all(1)
    assert isinstance(first, Failed)
    assert isinstance(second, Succeeded)


async def test_one_that_is_cancelled_from_within_has_failed_and_the_next_is_asked() -> None:
    async def cancelled(text: str) -> str:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
        return text

    async def well(text: str) -> str:
        return text

    execution = await functions("x", cancelled, well).execute("hello")
    assert execution.provider == "well"
    outcome = execution.outcomes[0]
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, OutcomeUnknown)


def test_nobody_is_asked_any_more_when_no_time_is_left() -> None:
    clock = FakeClock()
    calls: list[str] = []

    def slow(text: str) -> str:
        calls.append(text)
        clock.advance(2.0)
        raise Unavailable("too late")

    failover = Failover("x", [Provider(slow, "a"), Provider(slow, "b")], clock=clock)
    with pytest.raises(AllProvidersFailed):
        Timeout(1.0, clock=clock).call(failover.sync_method(), "hello")
    assert calls == ["hello"]


@pytest.mark.parametrize(("half_life", "log_size"), [(0.0, 10), (float("nan"), 10), (1.0, -1)])
def test_options_out_of_range_are_refused(half_life: float, log_size: int) -> None:
    wrong = "log_size must be at least 0" if log_size < 0 else "half_life must be more than 0"
    with pytest.raises(ValueError, match=wrong):
        Failover[Mail]("mail", half_life=half_life, log_size=log_size)
