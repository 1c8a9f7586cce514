"""A rate limit that processes share over a real server, which may freeze or be away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from adapters.redis_ratelimit import RedisRateLimiter
from adapters.redis_server import RedisOptions, RedisServer
from holdfast.deadline import deadline
from holdfast.errors import RateLimited, Unavailable
from holdfast.events import Event
from holdfast.ratelimit import Rate
from holdfast.testing.clock import FakeClock
from tests.support.polling import until, until_seen
from tests.support.processes import Server

SLOW = Rate(1, period=3600, burst=5)


@asynccontextmanager
async def limiter(
    url: str, rate: Rate = SLOW, *, timeout: float = 20.0, **options: Any
) -> AsyncIterator[RedisRateLimiter]:
    server = RedisServer(RedisOptions(url, timeout=timeout, connect_timeout=timeout), name="test")
    try:
        yield RedisRateLimiter(server, rate, **({"name": uuid4().hex} | options))
    finally:
        await server.close()


async def admitted(limiter: RedisRateLimiter, calls: int) -> int:
    async def one() -> int:
        try:
            await limiter.check()
        except RateLimited:
            return 0
        return 1

    return sum(await asyncio.gather(*(one() for _ in range(calls))))


async def test_two_processes_together_get_one_burst(valkey_url: str) -> None:
    name = uuid4().hex
    async with limiter(valkey_url, name=name) as one, limiter(valkey_url, name=name) as other:
        assert sum(await asyncio.gather(admitted(one, 20), admitted(other, 20))) == 5


async def test_limits_of_other_names_are_others(valkey_url: str) -> None:
    async with limiter(valkey_url) as one, limiter(valkey_url) as other:
        assert (await admitted(one, 9), await admitted(other, 9)) == (5, 5)


async def test_a_refusal_says_when_to_come_back_and_spends_nothing(valkey_url: str) -> None:
    told: list[Event] = []
    async with limiter(valkey_url, listener=told.append) as one:
        await one.check(cost=5)
        for _ in range(3):
            with pytest.raises(RateLimited) as refused:
                await one.check()
            assert 3590 < refused.value.retry_after <= 3600
        assert [event.name for event in told] == ["rate_limit.rejected"] * 3


async def test_a_call_waits_for_its_turn_no_longer_than_it_may(valkey_url: str) -> None:
    clock = FakeClock()
    async with limiter(valkey_url, Rate(1, period=3600), max_wait=9000, clock=clock) as one:
        calls = [asyncio.ensure_future(one.acall(asyncio.sleep, 0, number)) for number in range(6)]
        await until(lambda: sum(call.done() for call in calls) == 4 and clock.waiting == 2)
        clock.advance(7200)
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["RateLimited"] * 3 + ["int"] * 3


async def test_a_wait_beyond_the_enclosing_deadline_is_not_begun(valkey_url: str) -> None:
    async with limiter(valkey_url, Rate(1, period=100), max_wait=200.0) as one:
        await one.check()
        with deadline(30.0), pytest.raises(RateLimited):
            await one.acall(asyncio.sleep, 0)


async def test_whoever_leaves_gives_the_place_back(valkey_url: str) -> None:
    clock = FakeClock()
    async with limiter(valkey_url, Rate(1, period=3600), clock=clock) as one:
        await leave(one, clock)
        with pytest.raises(RateLimited) as refused:
            await one.check()
        assert refused.value.retry_after <= 3600


async def test_whoever_leaves_while_the_server_is_away_has_left_all_the_same(private_valkey: Server) -> None:
    clock = FakeClock()
    async with limiter(private_valkey.url, Rate(1, period=3600), clock=clock) as one:
        left = await leave(one, clock, before=private_valkey.kill)
    assert left.cancelled()


async def leave(
    one: RedisRateLimiter, clock: FakeClock, before: Callable[[], object] = lambda: None
) -> asyncio.Future[None]:
    """Wait for a turn, and be cancelled meanwhile."""
    await one.check()
    waiting = asyncio.ensure_future(one.wait())
    await until(lambda: clock.waiting)
    before()
    waiting.cancel()
    await asyncio.wait([waiting])
    return waiting


async def test_a_cost_beyond_the_burst_is_an_error(valkey_url: str) -> None:
    async with limiter(valkey_url) as one:
        with pytest.raises(ValueError, match="between 1 and the burst of 5"):
            await one.check(6)


async def test_plain_functions_are_refused(valkey_url: str) -> None:
    async with limiter(valkey_url) as one:
        with pytest.raises(TypeError, match="async calls only"):
            one(abs)

        @one
        async def answer() -> int:
            return 42

        assert await answer() == 42


async def test_while_the_server_is_away_the_chosen_rule_holds() -> None:
    nobody = "redis://127.0.0.1:1/0"
    async with limiter(nobody, when_away="open") as one:
        assert await admitted(one, 9) == 9
    async with limiter(nobody, when_away="local") as one:
        assert await admitted(one, 9) == 5
    async with limiter(nobody, when_away="closed") as one:
        with pytest.raises(Unavailable):
            await one.check()


async def test_a_frozen_server_costs_a_call_its_deadline_and_then_counts_again(private_valkey: Server) -> None:
    name = uuid4().hex
    async with limiter(private_valkey.url, name=name) as patient:
        assert await admitted(patient, 3) == 3
    async with limiter(private_valkey.url, name=name, timeout=1.0, when_away="local") as one:
        await until_seen(lambda: one._server.command("PING"), "its connection is made")
        private_valkey.freeze()
        began = time.monotonic()
        assert await admitted(one, 9) == 5, "the rate of this process alone"
        assert time.monotonic() - began < 6, "and not a second for each"
        private_valkey.thaw()
        assert await admitted(one, 9) <= 2, "what was spent before is spent"
