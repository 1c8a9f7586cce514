"""Behaviour of providers under their policies: retries, breakers, limits, hooks, and bookkeeping that fails."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from holdfast.backoff import constant
from holdfast.breaker import BreakerOptions, CircuitBreaker, State
from holdfast.bulkhead import Bulkhead
from holdfast.errors import CircuitOpen, Permanent, RateLimited, TimedOut, Unavailable
from holdfast.events import Event
from holdfast.failover import (
    AllProvidersFailed,
    Attempt,
    Call,
    ErrorKind,
    Failed,
    Failover,
    Hooks,
    Provider,
    Throttled,
)
from holdfast.policy import Policy, compose
from holdfast.ratelimit import Rate, RateLimiter
from holdfast.retry import Retry
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout

QUICK = BreakerOptions(minimum_calls=2, window_size=10, open_duration=5.0)


class Script:
    """Answers each call with the next line of its script, and the last line for ever."""

    def __init__(self, *lines: str | Exception) -> None:
        self.lines = list(lines)
        self.calls = 0

    async def __call__(self, text: str) -> str:
        self.calls += 1
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        await asyncio.sleep(0)
        if isinstance(line, Exception):
            raise line
        return line


def failover(a: Script, b: Script, policy: Policy, **options: Any) -> Failover[Script]:
    return Failover("x", [Provider(a, "a", policy), Provider(b, "b")], **options)


async def test_each_provider_is_retried_by_its_own_policy_before_the_next_is_asked() -> None:
    clock = FakeClock()
    a, b = Script(Unavailable("1"), Unavailable("2"), "late"), Script("sent")
    waiting = asyncio.ensure_future(failover(a, b, Retry(3, constant(1.0), clock=clock), clock=clock).method()("x"))
    for _ in range(2):
        await clock.until_waiting()
        clock.advance(1.0)
    assert await waiting == "late"
    assert (a.calls, b.calls) == (3, 0)


async def test_a_definite_no_is_not_retried_either() -> None:
    a, b = Script(Permanent("no")), Script("sent")
    with pytest.raises(Permanent):
        await failover(a, b, Retry(3)).method()("x")
    assert (a.calls, b.calls) == (1, 0)


async def test_an_open_breaker_is_skipped_without_a_call_and_tried_again_when_its_time_is_over() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("a", QUICK, clock=clock)
    a, b = Script(Unavailable("1"), Unavailable("2"), "back"), Script("sent")
    send = failover(a, b, breaker, clock=clock).method()
    for _ in range(5):
        assert await send("x") == "sent"
    assert a.calls == 2
    assert breaker.state is State.OPEN
    clock.advance(5.0)
    assert await send("x") == "back"


async def test_an_open_breaker_costs_none_of_the_rate_in_front_of_it() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("a", QUICK, clock=clock)
    limiter = RateLimiter(Rate(1, burst=1), clock=clock)
    breaker.isolate()
    await failover(Script("sent"), Script("sent"), compose(limiter, breaker), clock=clock).method()("x")
    limiter.check()


async def test_a_spent_rate_moves_on_to_the_next() -> None:
    clock = FakeClock()
    a, b = Script("from a"), Script("from b")
    send = failover(a, b, RateLimiter(Rate(1), clock=clock), clock=clock).method()
    assert [await send("x"), await send("x")] == ["from a", "from b"]
    clock.advance(1.0)
    assert await send("x") == "from a"


async def test_a_full_bulkhead_moves_on_to_the_next() -> None:
    gate = asyncio.Event()

    class Slow(Script):
        async def __call__(self, text: str) -> str:
            await gate.wait()
            return "slow"

    bulkhead = Bulkhead(1)
    send = failover(Slow(""), Script("quick"), bulkhead).method()
    first = asyncio.ensure_future(send("x"))
    await asyncio.sleep(0)
    assert await send("x") == "quick"
    gate.set()
    assert await first == "slow"
    assert bulkhead.running == 0


async def test_a_throttling_provider_is_left_alone_for_as_long_as_it_asked() -> None:
    clock = FakeClock()
    a, b = Script(Throttled(retry_after=60.0), "rested"), Script("sent")
    send = Failover("x", [Provider(a, "a"), Provider(b, "b")], clock=clock).method()
    for _ in range(3):
        assert await send("x") == "sent"
    assert a.calls == 1
    clock.advance(60.0)
    assert await send("x") == "rested"


async def test_a_late_answer_is_a_failure_and_the_next_is_asked() -> None:
    clock = FakeClock()

    class Hung(Script):
        async def __call__(self, text: str) -> str:
            await asyncio.Event().wait()
            return "never"

    send = failover(Hung(""), Script("sent"), Timeout(2.0, clock=clock), clock=clock)
    waiting = asyncio.ensure_future(send.method().execute("x"))
    await clock.until_waiting()
    clock.advance(2.0)
    execution = await waiting
    assert execution.provider == "b"
    outcome = execution.outcomes[0]
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, TimedOut)
    assert send.stats().providers["a"].average_response_time == pytest.approx(2.0)


async def test_the_real_error_is_reported_when_the_breaker_refuses_the_retry() -> None:
    clock = FakeClock()
    a, b = Script(Unavailable("the real one")), Script(Unavailable("b"))
    breaker = CircuitBreaker("a", BreakerOptions(minimum_calls=1, window_size=10), clock=clock)
    policy = compose(Retry(3, constant(1e-9), clock=clock), breaker)
    waiting = asyncio.ensure_future(failover(a, b, policy, clock=clock).method()("x"))
    await clock.until_waiting()
    clock.advance(1.0)
    with pytest.raises(AllProvidersFailed) as caught:
        await waiting
    assert str(caught.value.exceptions[0]) == "the real one"


async def test_refusals_alone_say_when_to_come_back() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("a", QUICK, clock=clock)
    breaker.isolate()
    limiter = RateLimiter(Rate(1, period=3.0), clock=clock)
    limiter.check()
    providers = [Provider(Script("sent"), "a", breaker), Provider(Script("sent"), "b", limiter)]
    with pytest.raises(AllProvidersFailed) as caught:
        await Failover("x", providers, clock=clock).method()("x")
    assert [type(error) for error in caught.value.exceptions] == [CircuitOpen, RateLimited]
    assert caught.value.retry_after == pytest.approx(3.0)
    assert not caught.value.unsure


async def test_a_method_may_have_a_policy_of_its_own() -> None:
    class Both:
        def __init__(self) -> None:
            self.calls = 0

        async def read(self) -> int:
            self.calls += 1
            raise Unavailable("down")

        async def write(self) -> int:
            self.calls += 1
            raise Unavailable("down")

    both = Both()
    policies: dict[str, Policy | None] = {"write": None}
    provider = Provider(both, policy=Retry(3, constant(1e-9)), policies=policies)
    failover = Failover[Both]("x", [provider])
    with pytest.raises(AllProvidersFailed):
        await failover.method(Both.read)()
    assert both.calls == 3
    with pytest.raises(AllProvidersFailed):
        await failover.method(Both.write)()
    assert both.calls == 4


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


async def test_a_call_keeps_its_arguments() -> None:
    calls: list[Call] = []
    hooks = Hooks(succeeded=lambda call, *_: calls.append(call))

    async def add(left: int, *, right: int) -> int:
        return left + right

    assert await Failover("x", [Provider(add)], hooks=hooks).method()(1, right=2) == 3
    assert (calls[0].args, calls[0].kwargs) == ((1,), {"right": 2})


async def test_a_skipped_provider_is_passed_over_whatever_the_classifier_says_of_errors() -> None:
    breaker = CircuitBreaker("a")
    breaker.isolate()
    send = failover(Script("sent"), Script("sent"), breaker, fail_over_on=lambda _error: False).method()
    assert (await send.execute("x")).provider == "b"


async def test_being_skipped_is_no_error_of_the_provider() -> None:
    breaker = CircuitBreaker("a")
    a = Script(Unavailable("the real one"), "sent")
    chain = failover(a, Script("sent"), breaker)
    await chain.method()("x")
    breaker.isolate()
    await chain.method()("x")
    last = chain.stats().providers["a"].last_error
    assert last is not None
    assert last.text == "the real one"


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
