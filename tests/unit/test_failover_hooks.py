"""What a failover tells: hooks, events and the log of attempts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from holdfast.backoff import constant
from holdfast.breaker import CircuitBreaker
from holdfast.errors import Permanent, Unavailable
from holdfast.events import Event
from holdfast.failover import AllProvidersFailed, Attempt, Call, ErrorKind, Failover, Hooks, Provider
from holdfast.retry import Retry
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout
from tests.support.scripts import Script, failover


async def test_hooks_see_each_failed_try_each_success_and_the_end() -> None:
    told: list[tuple[Any, ...]] = []
    hooks = Hooks(
        succeeded=lambda call, provider, result: told.append(("succeeded", call.args, provider, result)),
        failed=lambda _call, provider, error: told.append(("failed", provider, str(error))),
        all_failed=lambda _call, error: told.append(("all failed", len(error.exceptions))),
    )
    a, b = Script(Unavailable("1"), Unavailable("2")), Script("sent", Unavailable("3"))
    send = failover(a, b, Retry(2, constant(1e-9)), hooks=hooks).method()
    await send("x")
    with pytest.raises(AllProvidersFailed):
        await send("y")
    assert told[:3] == [("failed", "a", "1"), ("failed", "a", "2"), ("succeeded", ("x",), "b", "sent")]
    assert told[3:] == [("failed", "a", "2"), ("failed", "a", "2"), ("failed", "b", "3"), ("all failed", 2)]


async def test_every_attempt_is_told_as_it_is_written_down_the_skipped_and_the_cancelled_too() -> None:
    trail: list[tuple[Call, Attempt]] = []
    breaker = CircuitBreaker("a")
    breaker.isolate()
    begun = asyncio.Event()

    async def hang(_text: str) -> str:
        begun.set()
        return await asyncio.Future[str]()

    b = Script(Unavailable("1"), Unavailable("2"))
    providers = [
        Provider(Script("sent"), "a", breaker),
        Provider(b, "b", Retry(2, constant(1e-9))),
        Provider(hang, "c"),
    ]
    failover = Failover[Any]("x", providers, hooks=Hooks(attempted=lambda *told: trail.append(told)), log_size=0)
    sending = asyncio.ensure_future(failover.method()("x"))
    await asyncio.wait_for(begun.wait(), 60.0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert {call.args for call, _ in trail} == {("x",)}
    assert [(attempt.provider, attempt.ending, attempt.number) for _, attempt in trail] == [
        ("a", "skipped", 0),
        ("b", "failed", 1),
        ("b", "failed", 2),
        ("c", "cancelled", 1),
    ]


async def test_failing_hooks_are_reported_and_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("the hook is broken")

    a, b = Script(Unavailable("1"), "sent"), Script("sent")
    hooks = Hooks(succeeded=broken, failed=broken, all_failed=broken, attempted=broken)
    send = failover(a, b, Retry(2, constant(1e-9)), hooks=hooks).method()
    assert await send("x") == "sent"
    assert (a.calls, b.calls) == (2, 0)
    assert [record.exc_info is not None for record in caplog.records] == [True] * 4


def test_a_hook_that_is_a_coroutine_function_is_refused() -> None:
    async def hook(*_args: object) -> None: ...

    with pytest.raises(TypeError, match="'failed' must be a plain function"):
        Hooks(failed=hook)


async def test_bookkeeping_that_fails_after_a_success_causes_no_second_call(caplog: pytest.LogCaptureFixture) -> None:
    class BrokenClock(FakeClock):
        broken = False

        def time(self) -> float:
            if self.broken:
                raise OSError("no wall clock")
            return super().time()

    clock = BrokenClock()
    a, b = Script("sent"), Script("sent")
    send = failover(a, b, Retry(3, clock=clock), clock=clock).method()
    clock.broken = True
    assert await send("x") == "sent"
    assert (a.calls, b.calls) == (1, 0)
    assert "no wall clock" in caplog.text


async def test_events_name_what_happened() -> None:
    events: list[Event] = []
    a, b = Script(Unavailable("1")), Script("sent", Permanent("no"))
    send = failover(a, b, Retry(1), listener=events.append).method()
    await send("x")
    with pytest.raises(Permanent):
        await send("x")
    names = [event.name for event in events]
    assert names[:2] == ["failover.provider_failed", "failover.used"]
    assert names[2:] == ["failover.provider_failed", "failover.provider_failed", "failover.stopped"]
    assert events[0].attributes == {"method": "__call__", "provider": "a", "error.type": "Unavailable"}
    assert events[1].attributes == {"method": "__call__", "provider": "b", "tries": 2}


async def test_the_log_tells_every_attempt_newest_first() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("b", clock=clock)
    breaker.isolate()
    a, b, c = Script(ConnectionResetError("gone")), Script("sent"), Script("sent")
    providers = [Provider(a, "a"), Provider(b, "b", breaker), Provider(c, "c")]
    failover = Failover("x", providers, clock=clock)
    await failover.method()("x")
    attempts = failover.attempts()
    assert [(entry.provider, entry.ending, entry.number) for entry in attempts] == [
        ("c", "succeeded", 1),
        ("b", "skipped", 0),
        ("a", "failed", 1),
    ]
    error = attempts[2].error
    assert error is not None
    assert (error.kind, error.type, error.text) == (ErrorKind.CONNECTION, "ConnectionResetError", "gone")
    assert [entry.provider for entry in failover.attempts(provider="a")] == ["a"]


async def test_the_log_keeps_no_more_than_it_was_told_to() -> None:
    failover = Failover("x", [Provider(Script("sent"), "a")], log_size=3)
    for _ in range(10):
        await failover.method()("x")
    assert len(failover.attempts()) == 3


async def test_what_an_abandoned_call_does_later_is_news_to_nobody() -> None:
    clock = FakeClock()

    class Stubborn(Script):
        async def __call__(self, text: str) -> str:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            self.calls += 1
            raise Unavailable("much later")

    a = Stubborn("")
    told: list[Exception] = []
    hooks = Hooks(failed=lambda _call, _provider, error: told.append(error))
    chain = failover(a, Script("sent"), Timeout(2.0, abandon=True, clock=clock), clock=clock, hooks=hooks)
    waiting = asyncio.ensure_future(chain.method()("x"))
    await clock.until_waiting()
    clock.advance(2.0)
    assert await waiting == "sent"
    while not a.calls:
        await asyncio.sleep(0)
    assert [type(error).__name__ for error in told] == ["Abandoned"]
