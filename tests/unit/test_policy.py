"""Behaviour of policies together, and as decorators."""

from __future__ import annotations

import asyncio
import gc
import inspect
import traceback
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from holdfast.adaptive import AdaptiveLimit
from holdfast.backoff import constant
from holdfast.breaker import BreakerOptions, CircuitBreaker, State
from holdfast.bulkhead import Bulkhead
from holdfast.chaos import Chaos
from holdfast.errors import OutcomeUnknown, Rejected, Unavailable
from holdfast.fallback import Fallback
from holdfast.partitioned import Partitioned
from holdfast.policy import Pipeline, Policy, compose, decorate
from holdfast.ratelimit import Rate, RateLimiter
from holdfast.retry import Retry
from holdfast.stale import StaleOnError
from holdfast.testing.clock import FakeClock
from holdfast.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

clock = FakeClock()
EVERY_POLICY: list[Callable[[], Any]] = [
    lambda: CircuitBreaker("store", clock=clock),
    lambda: Retry(clock=clock),
    lambda: Bulkhead(1, clock=clock),
    lambda: RateLimiter(Rate(100, burst=100), clock=clock),
    lambda: Timeout(5.0, clock=clock),
    lambda: Timeout(5.0, abandon=True, clock=clock),
    lambda: AdaptiveLimit(initial=1, clock=clock),
    lambda: Fallback(lambda _: None),
    lambda: StaleOnError(60.0, key=lambda *_, **__: 0, clock=clock),
    lambda: Chaos(clock=clock),
    lambda: Partitioned(lambda _: Bulkhead(1, clock=clock), key=lambda *_, **__: 0),
    lambda: compose(Retry(clock=clock), CircuitBreaker("store", clock=clock)),
]
IDS = [
    "breaker",
    "retry",
    "bulkhead",
    "ratelimit",
    "timeout",
    "abandon",
    "adaptive",
    "fallback",
    "stale",
    "chaos",
    "partitioned",
    "pipeline",
]


class Spy:
    """A policy that notes when it is entered and left."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        return decorate(fn, lambda fn: partial(self.call, fn), lambda fn: partial(self.acall, fn))

    def call(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.notes.append(f"+{self.name}")
        result = fn(*args, **kwargs)
        self.notes.append(f"-{self.name}")
        return result

    async def acall(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        self.notes.append(f"+{self.name}")
        result = await fn(*args, **kwargs)
        self.notes.append(f"-{self.name}")
        return result


@pytest.fixture(params=EVERY_POLICY, ids=IDS)
def policy(request: pytest.FixtureRequest) -> Any:
    return request.param()


async def test_every_policy_passes_arguments_in_and_results_out(policy: Policy) -> None:
    async def echo(*args: object, **kwargs: object) -> object:
        return args, kwargs

    assert policy.call(lambda *args, **kwargs: (args, kwargs), 1, fn=2, self=3) == ((1,), {"fn": 2, "self": 3})
    assert await policy.acall(echo, 1, fn=2, self=3) == ((1,), {"fn": 2, "self": 3})


async def test_every_policy_decorates_a_function_as_what_it_is(policy: Any) -> None:
    class Service:
        @policy  # type: ignore[untyped-decorator]
        def answer(self, of: int) -> int:
            """The answer."""
            return of

        @policy  # type: ignore[untyped-decorator]
        async def later(self, of: int) -> int:
            """The answer, later."""
            return of

    service = Service()
    assert service.answer(of=42) == 42
    assert await service.later(42) == 42
    assert (Service.answer.__name__, Service.answer.__doc__) == ("answer", "The answer.")
    assert (Service.later.__name__, Service.later.__doc__) == ("later", "The answer, later.")
    assert inspect.iscoroutinefunction(Service.later)
    assert not inspect.iscoroutinefunction(Service.answer)


async def test_an_object_whose_call_is_async_is_guarded_as_async(policy: Any) -> None:
    class Client:
        async def __call__(self) -> str:
            await asyncio.sleep(0)
            return "done"

    guarded = policy(Client())
    assert inspect.iscoroutinefunction(guarded)
    assert await guarded() == "done"


def test_a_generator_is_refused_since_it_would_run_unguarded(policy: Any) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for generator in (numbers, later):
        with pytest.raises(TypeError, match="a generator cannot be guarded"):
            policy(generator)


def test_every_policy_lets_errors_through(policy: Policy) -> None:
    error = KeyError("mine")

    def fail() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        policy.call(fail)
    assert caught.value is error


@pytest.mark.parametrize("turns", range(8))
async def test_a_call_may_be_cancelled_at_any_moment_and_every_policy_works_on(policy: Policy, turns: int) -> None:
    async def work() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        await asyncio.Event().wait()

    for _ in range(20):
        task = asyncio.create_task(policy.acall(work))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert policy.call(lambda: "done") == "done"


async def test_a_policy_in_a_pipeline_tells_calls_apart_by_their_own_function_and_arguments() -> None:
    answers = iter(["first", "second", "third", "fourth"])

    def read(key: str, *, at: int) -> str:
        return next(answers)

    async def read_later(key: str, *, at: int) -> str:
        return read(key, at=at)

    for pipeline in (
        compose(StaleOnError(60.0, fresh_for=60.0, key=lambda key, *, at: (key, at)), Retry(1), Bulkhead(1)),
        compose(compose(StaleOnError(60.0, fresh_for=60.0), Retry(1)), Bulkhead(1)),
    ):
        first, second = pipeline.call(read, "a", at=1), await pipeline.acall(read_later, "a", at=1)
        assert (pipeline.call(read, "a", at=1), await pipeline.acall(read_later, "a", at=1)) == (first, second)
        assert first != second
    assert next(answers, None) is None


async def test_the_first_policy_is_the_outermost() -> None:
    notes = list[str]()
    pipeline = compose(*(Spy(name, notes) for name in "abc"))
    assert pipeline.call(lambda: notes.append("call")) is None
    assert notes == ["+a", "+b", "+c", "call", "-c", "-b", "-a"]
    notes.clear()
    await pipeline.acall(asyncio.sleep, 0)
    assert notes == ["+a", "+b", "+c", "-c", "-b", "-a"]
    notes.clear()
    pipeline(int)()
    assert notes == ["+a", "+b", "+c", "-c", "-b", "-a"]


def test_a_pipeline_is_a_policy_and_nests() -> None:
    notes = list[str]()
    inner = compose(Spy("b", notes), Spy("c", notes))
    compose(Spy("a", notes), inner).call(int)
    assert notes == ["+a", "+b", "+c", "-c", "-b", "-a"]


def test_an_empty_pipeline_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one policy"):
        Pipeline()


def test_the_order_decides_what_a_breaker_counts() -> None:
    def down() -> None:
        raise Unavailable("nobody there")

    def counted(pipeline: Callable[[Retry, CircuitBreaker], Pipeline]) -> int:
        clock = FakeClock()
        breaker = CircuitBreaker("store", clock=clock)
        with pytest.raises(Unavailable):
            pipeline(Retry(3, constant(1.0), clock=clock), breaker).call(down)
        return breaker.snapshot().failures

    assert counted(lambda retry, breaker: compose(retry, breaker)) == 3
    assert counted(lambda retry, breaker: compose(breaker, retry)) == 1


async def test_a_frozen_dependency_opens_the_breaker_while_the_abandoned_calls_keep_their_slots() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("store", BreakerOptions(minimum_calls=2), clock=clock)
    bulkhead = Bulkhead(2, clock=clock)
    pipeline = compose(breaker, Timeout(1.0, abandon=True, clock=clock), bulkhead)
    thawed = asyncio.Event()

    async def frozen() -> None:
        try:
            await thawed.wait()
        finally:
            await thawed.wait()

    callers = [asyncio.create_task(pipeline.acall(frozen)) for _ in range(2)]
    await clock.until_waiting(2)
    await asyncio.sleep(0)
    clock.advance(1.0)
    for caller in callers:
        with pytest.raises(OutcomeUnknown):
            await caller
    assert breaker.state is State.OPEN
    assert bulkhead.running == 2
    thawed.set()
    for _ in range(100):
        await asyncio.sleep(0)
    assert bulkhead.running == 0


def refused_by(policy: Policy) -> Rejected:
    """A refusal of a policy that is full, spent or open."""
    try:
        policy.call(pytest.fail, "let in")
    except Rejected as refusal:
        return refusal
    raise AssertionError("it was not refused")


def full(policy: Any) -> Any:
    policy._slots.take()
    return policy


def spent(limiter: RateLimiter) -> RateLimiter:
    limiter.check()
    return limiter


def opened(breaker: CircuitBreaker) -> CircuitBreaker:
    breaker.isolate()
    return breaker


REFUSING: list[Callable[[], Any]] = [
    lambda: full(Bulkhead(1, clock=clock)),
    lambda: full(AdaptiveLimit(initial=1, clock=clock)),
    lambda: spent(RateLimiter(Rate(1), clock=clock)),
    lambda: opened(CircuitBreaker("store", clock=clock)),
    lambda: compose(Retry(clock=clock), opened(CircuitBreaker("store", clock=clock))),
]


@pytest.mark.parametrize("make", REFUSING, ids=["bulkhead", "adaptive", "ratelimit", "breaker", "retry, breaker"])
def test_every_refusal_is_a_new_one_and_is_gone_as_soon_as_its_caller_lets_go_of_it(make: Callable[[], Any]) -> None:
    policy = make()
    refusals = [refused_by(policy) for _ in range(50)]
    assert len({id(refusal) for refusal in refusals}) == 50
    assert len({len(traceback.extract_tb(refusal.__traceback__)) for refusal in refusals}) == 1
    held = [weakref.ref(refusal) for refusal in refusals]
    gc.disable()
    try:
        refusals.clear()
        assert [ref() for ref in held if ref() is not None] == []
    finally:
        gc.enable()
