"""A breaker whose state processes share over a real server, which may freeze or be away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import redis

from adapters.redis_breaker import RedisBreaker
from adapters.redis_server import RedisOptions, RedisServer
from holdfast.backoff import Backoff
from holdfast.breaker import BreakerOptions, State, Verdict
from holdfast.errors import CircuitOpen, Unavailable
from holdfast.events import Event
from tests.support.polling import until_seen
from tests.support.processes import Server
from tests.support.workers import eventually

QUICK = BreakerOptions(minimum_calls=2, open_duration=0.1)
LONG = BreakerOptions(minimum_calls=2, open_duration=3600)


@asynccontextmanager
async def breaker(
    url: str, name: str, options: BreakerOptions = QUICK, *, timeout: float = 20.0, **more: Any
) -> AsyncIterator[RedisBreaker]:
    """One process's breaker, as far as the server can tell. timeout: long, so that only what is frozen runs into it."""
    server = RedisServer(RedisOptions(url, timeout=timeout, connect_timeout=timeout), name="test")
    try:
        async with RedisBreaker(server, name, options, **({"refresh": 0.05} | more)) as made:
            yield made
    finally:
        await server.close()


@pytest.fixture
def name() -> str:
    return uuid4().hex


class Dependency:
    """What is guarded: down or not, and held up until told."""

    def __init__(self, *, down: bool = False, hangs: bool = False) -> None:
        self.down = down
        self.calls = 0
        self.release = asyncio.Event()
        if not hangs:
            self.release.set()

    async def __call__(self) -> str:
        self.calls += 1
        await self.release.wait()
        if self.down:
            raise ConnectionError("nobody there")
        return "answer"


async def fail(one: RedisBreaker, calls: int = 2) -> None:
    down = Dependency(down=True)
    for _ in range(calls):
        with pytest.raises(ConnectionError):
            await one.acall(down)


async def until(one: RedisBreaker, state: State) -> None:
    """Half-open for all: alone it is so where its open time is over before the others could be told."""

    def has_come() -> bool:
        return one.state is state and (state is not State.HALF_OPEN or one.snapshot().reason == "shared")

    await eventually(has_come, f"{one.name} {state}, was {one.state}")


async def outcome(one: RedisBreaker, fn: Any) -> object:
    try:
        return await one.acall(fn)
    except Exception as error:  # noqa: BLE001 - what came of it is the question
        return type(error)


def changes(told: list[Event]) -> list[tuple[object, object]]:
    """Of its state, each with what it was and what it became."""
    return [(each.attributes["from"], each.attributes["to"]) for each in told if each.name == "breaker.state_changed"]


async def test_what_one_process_opens_is_open_for_the_others_within_a_refresh(valkey_url: str, name: str) -> None:
    up = Dependency()
    told: list[Event] = []
    async with (
        breaker(valkey_url, name, LONG, refresh=3600) as one,
        breaker(valkey_url, name, LONG, listener=told.append) as other,
    ):
        assert await other.acall(up) == "answer"
        await fail(one)
        await until(other, State.OPEN)
        assert changes(told) == [("closed", "open")]
        with pytest.raises(CircuitOpen) as refused:
            await other.acall(up)
        assert 3500 < refused.value.retry_after <= 3600
        assert up.calls == 1


async def test_a_process_that_starts_while_it_is_open_refuses_its_first_call(valkey_url: str, name: str) -> None:
    async with breaker(valkey_url, name, LONG) as one:
        await fail(one)
    async with breaker(valkey_url, name, LONG, refresh=3600) as late:
        assert await outcome(late, Dependency()) is CircuitOpen


async def test_breakers_of_other_names_are_others(valkey_url: str, name: str) -> None:
    async with breaker(valkey_url, name, LONG) as one:
        await fail(one)
    async with breaker(valkey_url, name + "2", LONG) as other:
        assert await outcome(other, Dependency()) == "answer"


async def test_while_it_is_closed_calls_ask_nobody(private_valkey: Server, name: str) -> None:
    async with breaker(private_valkey.url, name, refresh=3600) as one:
        private_valkey.freeze()
        async with asyncio.timeout(15):
            assert [await outcome(one, Dependency()) for _ in range(50)] == ["answer"] * 50
        private_valkey.thaw()


@pytest.mark.parametrize("probes", [1, 3])
async def test_of_a_hundred_callers_in_three_processes_only_the_probes_pass(
    valkey_url: str, name: str, probes: int
) -> None:
    options = BreakerOptions(minimum_calls=2, open_duration=0.1, probes=probes, probe_lease=3600)
    hanging = Dependency(hangs=True)
    async with AsyncExitStack() as stack:
        three = [await stack.enter_async_context(breaker(valkey_url, name, options)) for _ in range(3)]
        await fail(three[0])
        for one in three:
            await until(one, State.HALF_OPEN)
        calls = [asyncio.ensure_future(outcome(three[number % 3], hanging)) for number in range(100)]
        await eventually(lambda: sum(call.done() for call in calls) == 100 - probes, "all others refused")
        assert hanging.calls == probes
        hanging.release.set()
        outcomes = await asyncio.gather(*calls)
        assert (outcomes.count("answer"), outcomes.count(CircuitOpen)) == (probes, 100 - probes)


async def test_a_good_probe_closes_it_for_all_and_the_next_call_passes(valkey_url: str, name: str) -> None:
    told: list[Event] = []
    async with breaker(valkey_url, name, listener=told.append) as one, breaker(valkey_url, name) as other:
        await fail(other)
        await until(one, State.HALF_OPEN)
        assert await outcome(one, Dependency()) == "answer"
        assert one.state is State.CLOSED
        await until(other, State.CLOSED)
        assert await outcome(other, Dependency()) == "answer"
        # Who looks when the open time is over already has not seen it open.
        assert changes(told) in ([("closed", seen), ("half_open", "closed")] for seen in ("open", "half_open"))


async def test_it_takes_as_many_good_probes_as_are_asked_for_whoever_makes_them(valkey_url: str, name: str) -> None:
    options = BreakerOptions(minimum_calls=2, open_duration=0.1, probe_successes=2)
    async with breaker(valkey_url, name, options) as one, breaker(valkey_url, name, options) as other:
        await fail(one)
        await until(one, State.HALF_OPEN)
        await until(other, State.HALF_OPEN)
        assert await outcome(one, Dependency()) == "answer"
        assert one.state is State.HALF_OPEN
        assert await outcome(other, Dependency()) == "answer"
        assert other.state is State.CLOSED


async def test_a_bad_probe_opens_it_for_all_again(valkey_url: str, name: str) -> None:
    down = Dependency(down=True)
    async with breaker(valkey_url, name) as opener:
        await fail(opener)
    async with breaker(valkey_url, name, LONG) as one, breaker(valkey_url, name, LONG) as other:
        await until(one, State.HALF_OPEN)
        assert await outcome(one, down) is ConnectionError
        assert one.state is State.OPEN
        await until(other, State.OPEN)
        with pytest.raises(CircuitOpen, match="nobody there"):
            await one.acall(down)


async def test_a_probe_is_judged_as_any_other_call(valkey_url: str, name: str) -> None:
    def judge(result: object) -> Verdict:
        return Verdict.FAILURE if result == "answer" else Verdict.SUCCESS

    async with breaker(valkey_url, name) as opener:
        await fail(opener)
    async with breaker(valkey_url, name, LONG, classify_result=judge) as one:
        await until(one, State.HALF_OPEN)
        assert await outcome(one, Dependency()) == "answer"
        assert one.state is State.OPEN


async def test_a_probe_that_says_nothing_leaves_its_place_to_the_next(valkey_url: str, name: str) -> None:
    async def ignored() -> None:
        raise KeyError

    async with breaker(valkey_url, name, classify=lambda _error: Verdict.IGNORE) as one:
        async with breaker(valkey_url, name) as opener:
            await fail(opener)
        await until(one, State.HALF_OPEN)
        assert await outcome(one, ignored) is KeyError
        assert one.state is State.HALF_OPEN
        assert await outcome(one, Dependency()) == "answer"


async def test_a_hung_probe_frees_its_place_and_its_late_word_counts_no_more(valkey_url: str, name: str) -> None:
    options = BreakerOptions(minimum_calls=2, open_duration=0.1, probe_lease=0.4)
    hung = Dependency(hangs=True)
    async with breaker(valkey_url, name, options) as one, breaker(valkey_url, name, options) as other:
        await fail(one)
        await until(one, State.HALF_OPEN)
        await until(other, State.HALF_OPEN)
        probe = asyncio.ensure_future(outcome(one, hung))
        asked = time.monotonic()
        await eventually(lambda: hung.calls, "the probe is on its way")
        await passes(other)
        assert time.monotonic() - asked > 0.39, "its place is its own until the lease is over"
        assert other.state is State.CLOSED
        hung.down = True
        hung.release.set()
        assert await probe is ConnectionError
        await until(one, State.CLOSED)
        assert other.state is State.CLOSED


async def test_a_late_good_probe_of_an_older_generation_does_not_close_it(valkey_url: str, name: str) -> None:
    options = BreakerOptions(minimum_calls=2, open_duration=0.1, probes=2)
    hung = Dependency(hangs=True)
    async with breaker(valkey_url, name, options) as one, breaker(valkey_url, name, LONG) as other:
        await fail(one)
        await until(one, State.HALF_OPEN)
        probe = asyncio.ensure_future(outcome(one, hung))
        await eventually(lambda: hung.calls, "the probe is on its way")
        async with breaker(valkey_url, name, BreakerOptions(probes=2, open_duration=3600)) as third:
            assert await outcome(third, Dependency(down=True)) is ConnectionError
        hung.release.set()
        assert await probe == "answer"
        await until(one, State.OPEN)
        await until(other, State.OPEN)
        assert await outcome(one, Dependency()) is CircuitOpen


async def test_failures_of_an_older_generation_do_not_open_it(valkey_url: str, name: str) -> None:
    async with breaker(valkey_url, name) as one, breaker(valkey_url, name, LONG, refresh=3600) as behind:
        await fail(behind, 1)
        await fail(one)
        await until(one, State.HALF_OPEN)
        assert await outcome(one, Dependency()) == "answer"
        await fail(behind, 1)
        await until(behind, State.CLOSED)
        assert await outcome(one, Dependency()) == "answer"
        async with breaker(valkey_url, name) as third:
            assert third.state is State.CLOSED


async def test_a_cancelled_probe_gives_its_place_back_and_counts_as_nothing(valkey_url: str, name: str) -> None:
    options = BreakerOptions(minimum_calls=2, open_duration=0.1, probe_lease=3600)
    hung = Dependency(hangs=True)
    async with breaker(valkey_url, name, options) as one, breaker(valkey_url, name, options) as other:
        await fail(one)
        await until(one, State.HALF_OPEN)
        probe = asyncio.ensure_future(one.acall(hung))
        await eventually(lambda: hung.calls, "the probe is on its way")
        probe.cancel()
        await asyncio.wait([probe])
        assert probe.cancelled()
        await until(other, State.HALF_OPEN)
        await passes(other)


@pytest.mark.parametrize("steps", range(12))
async def test_whenever_a_probe_is_cancelled_no_place_is_lost(valkey_url: str, name: str, steps: int) -> None:
    options = BreakerOptions(minimum_calls=2, open_duration=0.05, probe_lease=3600)
    async with breaker(valkey_url, name, options) as one:
        await fail(one)
        await until(one, State.HALF_OPEN)
        probe = asyncio.ensure_future(one.acall(Dependency()))
        for _ in range(steps):
            await asyncio.sleep(0)
        probe.cancel()
        await asyncio.wait([probe])
        await passes(one)


async def passes(one: RedisBreaker) -> None:
    """Return once a call passes."""
    await until_seen(lambda: one.acall(Dependency()), "a call passes")


async def test_while_the_server_is_away_each_process_decides_alone(
    private_valkey: Server, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "adapters.redis_breaker")
    url = private_valkey.url
    async with breaker(url, name, LONG) as one, breaker(url, name, LONG) as other:
        private_valkey.kill()
        await eventually(lambda: len(caplog.records) == 2, "both have noticed")
        await fail(one)
        assert await outcome(one, Dependency()) is CircuitOpen
        assert await outcome(other, Dependency()) == "answer"
        private_valkey.start()
        await until(other, State.OPEN)
        said = [record.message.split(": ", 1)[1] for record in caplog.records]
        assert sum("is away" in line for line in said) == 2, "on change only"
        assert sum("is back" in line for line in said) == 2


async def test_what_was_open_when_the_server_went_opens_by_local_probes(private_valkey: Server, name: str) -> None:
    options = BreakerOptions(minimum_calls=2, open_duration=0.5)
    hanging = Dependency(hangs=True)
    url = private_valkey.url
    async with breaker(url, name, options) as one, breaker(url, name, options) as other:
        await fail(other)
        await eventually(lambda: one.state is not State.CLOSED, "it has heard")
        private_valkey.kill()
        await eventually(lambda: one.state is State.HALF_OPEN, "its open time is over")
        calls = [asyncio.ensure_future(outcome(one, hanging)) for _ in range(20)]
        await eventually(lambda: sum(call.done() for call in calls) == 19, "all but one refused")
        hanging.release.set()
        assert (await asyncio.gather(*calls)).count("answer") == 1
        assert one.state is State.CLOSED


async def test_what_the_server_said_last_holds_as_long_as_it_was_going_to(
    private_valkey: Server, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = private_valkey.url
    async with breaker(url, name, LONG) as one:
        async with breaker(url, name, LONG, refresh=3600) as other:
            await fail(other)
        await until(one, State.OPEN)
        private_valkey.kill()
        await eventually(lambda: "is away" in caplog.text, "it has noticed")
        assert await outcome(one, Dependency()) is CircuitOpen


async def test_the_word_of_a_probe_is_said_later_where_its_caller_left(private_valkey: Server, name: str) -> None:
    options = BreakerOptions(minimum_calls=2, open_duration=0.1, probe_lease=3600)
    hung = Dependency(hangs=True)
    async with breaker(private_valkey.url, name, options) as one:
        await fail(one)
        await until(one, State.HALF_OPEN)
        probe = asyncio.ensure_future(one.acall(hung))
        await eventually(lambda: hung.calls, "the probe is on its way")
        private_valkey.freeze()
        hung.release.set()
        for _ in range(5):
            await asyncio.sleep(0)
        probe.cancel()
        await asyncio.wait([probe])
        assert probe.cancelled()
        private_valkey.kill()
        private_valkey.start()
        await until(one, State.CLOSED)


async def test_a_frozen_server_costs_callers_its_timeout_once(private_valkey: Server, name: str) -> None:
    timeout = 1.0
    async with breaker(private_valkey.url, name) as other:
        await fail(other)
    async with breaker(private_valkey.url, name, timeout=timeout, refresh=3600) as one:

        async def is_half_open() -> bool:
            await one.close()
            await one.start()
            return one.state is State.HALF_OPEN

        await until_seen(is_half_open)
        private_valkey.freeze()
        began = time.monotonic()
        outcomes = await asyncio.gather(*(outcome(one, Dependency()) for _ in range(20)))
        assert "answer" in outcomes
        assert await outcome(one, Dependency()) == "answer"
        assert time.monotonic() - began < 15 * timeout, "and not once for each of the 20"
        private_valkey.thaw()


async def test_what_opened_while_the_server_stood_still_is_half_open_for_all_afterwards(
    private_valkey: Server, name: str
) -> None:
    async with breaker(private_valkey.url, name) as one, breaker(private_valkey.url, name) as other:
        private_valkey.freeze()
        await eventually(lambda: one._shared._server.pool().used, "it looks, and has no answer")
        await fail(one)
        await eventually(lambda: one.state is State.HALF_OPEN, "its open time is over")
        private_valkey.thaw()
        await until(other, State.HALF_OPEN)
        assert await outcome(other, Dependency()) == "answer"
        await until(one, State.CLOSED)


async def test_a_server_that_lost_everything_is_believed(private_valkey: Server, name: str) -> None:
    async with breaker(private_valkey.url, name, LONG) as one:
        await fail(one)
        await until(one, State.OPEN)
        async with breaker(private_valkey.url, name, LONG) as other:
            await until(other, State.OPEN)
            with redis.Redis.from_url(private_valkey.url) as operator:
                operator.flushall()
            await until(other, State.CLOSED)
            await until(one, State.CLOSED)
            await fail(other)
            await until(one, State.OPEN)


async def test_what_one_process_isolates_no_process_calls_until_it_is_released_and_probed(
    valkey_url: str, name: str
) -> None:
    told: list[Event] = []
    up = Dependency()
    async with breaker(valkey_url, name) as one, breaker(valkey_url, name, listener=told.append) as other:
        await one.isolate()
        assert one.state is State.ISOLATED
        await until(other, State.ISOLATED)
        for each in (one, other):
            with pytest.raises(CircuitOpen, match="is isolated") as refused:
                await each.acall(up)
            assert refused.value.retry_after == QUICK.open_duration
        async with breaker(valkey_url, name, refresh=3600) as late:
            assert await outcome(late, up) is CircuitOpen
        assert up.calls == 0
        await other.release()
        await until(one, State.HALF_OPEN)
        assert await outcome(one, up) == "answer"
        await until(other, State.CLOSED)
        assert changes(told) == [("closed", "isolated"), ("isolated", "half_open"), ("half_open", "closed")]


async def test_a_bad_probe_after_an_isolation_opens_it_as_for_the_first_time(valkey_url: str, name: str) -> None:
    options = BreakerOptions(minimum_calls=2, open_duration=Backoff(base=100, cap=10_000, factor=10, jitter="none"))
    async with breaker(valkey_url, name, options) as one:
        await one.isolate()
        await one.release()
        assert await outcome(one, Dependency(down=True)) is ConnectionError
        assert 90 < one.snapshot().retry_after <= 100


async def test_a_probe_that_was_on_its_way_does_not_end_an_isolation(valkey_url: str, name: str) -> None:
    hung = Dependency(hangs=True)
    async with breaker(valkey_url, name) as one, breaker(valkey_url, name) as other:
        await fail(one)
        await until(one, State.HALF_OPEN)
        probe = asyncio.ensure_future(outcome(one, hung))
        await eventually(lambda: hung.calls, "the probe is on its way")
        await other.isolate()
        hung.release.set()
        assert await probe == "answer"
        assert one.state is State.ISOLATED
        assert await outcome(other, Dependency()) is CircuitOpen


async def test_a_probe_that_hangs_since_before_an_isolation_has_no_place_after_it(valkey_url: str, name: str) -> None:
    options = BreakerOptions(minimum_calls=2, open_duration=0.1, probe_lease=3600)
    hung = Dependency(hangs=True)
    async with breaker(valkey_url, name, options) as one:
        await fail(one)
        await until(one, State.HALF_OPEN)
        probe = asyncio.ensure_future(outcome(one, hung))
        await eventually(lambda: hung.calls, "the probe is on its way")
        await one.isolate()
        await one.release()
        assert await outcome(one, Dependency()) == "answer"
        hung.release.set()
        await probe


async def test_failures_do_not_end_an_isolation(valkey_url: str, name: str) -> None:
    async with breaker(valkey_url, name, refresh=3600) as behind, breaker(valkey_url, name) as other:
        await other.isolate()
        await fail(behind)
        await until(behind, State.ISOLATED)
        async with breaker(valkey_url, name, refresh=3600) as late:
            assert late.state is State.ISOLATED


async def test_release_does_nothing_to_one_that_is_not_isolated(valkey_url: str, name: str) -> None:
    async with breaker(valkey_url, name, LONG) as one:
        await fail(one, 1)
        await one.release()
        assert (one.state, one.snapshot().calls) == (State.CLOSED, 1)
        await fail(one, 1)
        await eventually(lambda: one.snapshot().reason == "shared", "all know that it is open")
        await one.release()
        assert one.state is State.OPEN


@pytest.mark.parametrize("before", ["closed", "open", "isolated"])
async def test_reset_closes_it_for_all_whatever_it_was_and_nothing_counts_that_was(
    valkey_url: str, name: str, before: str
) -> None:
    async with breaker(valkey_url, name, LONG) as one, breaker(valkey_url, name, LONG) as other:
        await fail(one, 2 if before == "open" else 1)
        if before == "isolated":
            await one.isolate()
        await until(other, State(before))
        await other.reset()
        await eventually(lambda: one.snapshot().calls == 0 and one.state is State.CLOSED, "one has heard")
        await fail(one, 1)
        assert (one.state, other.state) == (State.CLOSED, State.CLOSED)


async def test_while_the_server_is_away_an_isolation_holds_and_what_is_done_by_hand_fails(
    private_valkey: Server, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with breaker(private_valkey.url, name) as one:
        await one.isolate()
        private_valkey.kill()
        await eventually(lambda: "is away" in caplog.text, "it has noticed")
        assert await outcome(one, Dependency()) is CircuitOpen
        assert one.snapshot().state is State.ISOLATED
        for by_hand in (one.isolate, one.release, one.reset):
            with pytest.raises(Unavailable):
                await by_hand()
        assert one.state is State.ISOLATED
        private_valkey.start()
        await until_seen(lambda: resets(one), "it can be reset again")
        assert await outcome(one, Dependency()) == "answer"


async def resets(one: RedisBreaker) -> bool:
    await one.reset()
    return one.state is State.CLOSED


async def test_a_snapshot_tells_the_shared_state_and_what_this_process_counted(valkey_url: str, name: str) -> None:
    options = BreakerOptions(minimum_calls=3, open_duration=3600)
    async with breaker(valkey_url, name, options) as one, breaker(valkey_url, name, options) as other:
        assert await outcome(one, Dependency()) == "answer"
        await fail(one, 1)
        seen = one.snapshot()
        assert (seen.name, seen.state, seen.calls, seen.failures, seen.failure_rate) == (name, State.CLOSED, 2, 1, 0.5)
        assert (seen.rejected, seen.retry_after, other.snapshot().calls) == (0, 0.0, 0)
        began = time.time()
        await fail(one, 1)
        await until(other, State.OPEN)
        assert [await outcome(other, Dependency()) for _ in range(3)] == [CircuitOpen] * 3
        seen = other.snapshot()
        assert (seen.state, seen.reason, seen.rejected, seen.last_failure) == (State.OPEN, "shared", 3, None)
        assert 3500 < seen.retry_after <= 3600
        assert began <= seen.since <= time.time()
        failure = one.snapshot().last_failure
        assert str(failure) == "ConnectionError: nobody there"
        await other.isolate()
        seen = other.snapshot()
        assert (seen.state, seen.retry_after) == (State.ISOLATED, 3600)


async def test_plain_functions_are_refused(valkey_url: str, name: str) -> None:
    async with breaker(valkey_url, name) as one:
        with pytest.raises(TypeError, match="async calls only"):
            one.call(abs, 1)

        @one
        async def answer() -> int:
            return 42

        assert await answer() == 42


async def test_before_its_start_and_after_its_end_it_says_what_is_missing(valkey_url: str, name: str) -> None:
    async with breaker(valkey_url, name) as one:
        pass
    with pytest.raises(RuntimeError, match="not started"):
        await one.acall(Dependency())
    with pytest.raises(ValueError, match="refresh must be more than 0"):
        async with breaker(valkey_url, name, refresh=0):
            pass
