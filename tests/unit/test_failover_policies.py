"""Behaviour of providers under their policies: retries, breakers, limits and deadlines."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.backoff import constant
from holdfast.breaker import BreakerOptions, CircuitBreaker, State
from holdfast.bulkhead import Bulkhead
from holdfast.errors import CircuitOpen, Permanent, RateLimited, TimedOut, Unavailable
from holdfast.failover import AllProvidersFailed, Call, Failed, Failover, Hooks, Provider, Throttled
from holdfast.policy import Policy, compose
from holdfast.ratelimit import Rate, RateLimiter
from holdfast.retry import Retry
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout
from tests.support.scripts import QUICK, Script, failover


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
