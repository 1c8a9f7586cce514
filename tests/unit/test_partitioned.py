"""One policy for each key: what one spoils stays its own, in bounded memory."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast import (
    BreakerOptions,
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitOpen,
    Partitioned,
    Retry,
    Unavailable,
    compose,
)

PATIENCE = 30.0


def breakers(size: int = 1024) -> Partitioned[CircuitBreaker]:
    options = BreakerOptions(minimum_calls=1)
    return Partitioned(lambda host: CircuitBreaker(f"to {host}", options), key=lambda host: host, size=size)


def get(host: str) -> str:
    if host == "down":
        raise Unavailable("nobody there")
    return f"from {host}"


async def get_later(host: str) -> str:
    return get(host)


async def test_a_host_that_is_down_opens_its_own_breaker_and_no_other() -> None:
    hosts = breakers()
    guarded, guarded_later = hosts(get), hosts(get_later)
    with pytest.raises(Unavailable):
        guarded("down")
    with pytest.raises(CircuitOpen, match="'to down'"):
        await guarded_later("down")
    assert (guarded("up"), await guarded_later("up")) == ("from up", "from up")
    assert hosts.call(get, "up") == await hosts.acall(get_later, "up")


async def test_in_a_pipeline_the_key_is_made_from_the_calls_own_arguments() -> None:
    hosts = breakers()
    outside, inside = compose(hosts, Retry(1)), compose(Retry(1), hosts)
    for pipeline in (outside, inside):
        assert pipeline.call(get, "up") == await pipeline.acall(get_later, "up") == pipeline(get)("up")
    assert [*hosts.policies()] == ["up"]


def test_only_so_many_are_kept_and_the_one_used_least_lately_is_forgotten_with_what_it_knew() -> None:
    hosts = breakers(size=2)
    with pytest.raises(Unavailable):
        hosts.call(get, "down")
    for host in ("a", "down"):
        assert hosts[host] is hosts[host]
    hosts.call(get, "b")
    assert [*hosts.policies()] == ["down", "b"]
    with pytest.raises(CircuitOpen):
        hosts.call(get, "down")
    hosts.call(get, "b")
    hosts.call(get, "c")
    with pytest.raises(Unavailable):
        hosts.call(get, "down")


async def test_what_has_a_call_under_way_is_not_forgotten_until_it_has_ended() -> None:
    slots = Partitioned(lambda _: Bulkhead(1), key=lambda tenant, _: tenant, size=1)
    ends = asyncio.Event()

    async def work(tenant: str, done: asyncio.Event) -> str:
        await done.wait()
        return tenant

    running = [asyncio.create_task(slots.acall(work, tenant, ends)) for tenant in ("a", "b")]
    await asyncio.sleep(0)
    assert [slots[tenant].running for tenant in ("c", "a", "b")] == [0, 1, 1]
    assert slots["c"] is slots["c"], "what somebody was just given is not forgotten either"
    with pytest.raises(BulkheadFull):
        await slots.acall(work, "a", ends)
    ends.set()
    assert await asyncio.gather(*running) == ["a", "b"]
    assert len(slots.policies()) == 1


async def test_a_cancelled_call_is_under_way_no_more() -> None:
    slots = Partitioned(lambda _: Bulkhead(1), key=lambda tenant: tenant, size=1)

    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(slots.acall(hang, "a"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert slots["b"].running == 0
    assert [*slots.policies()] == ["b"]


def test_first_calls_that_meet_share_one_policy() -> None:
    meeting = threading.Barrier(2)

    def make(_: str) -> Bulkhead:
        meeting.wait(PATIENCE)
        return Bulkhead(1)

    slots = Partitioned(make, key=lambda tenant: tenant)
    with ThreadPoolExecutor() as threads:
        one, other = threads.map(lambda _: slots["a"], range(2))
    assert one is other is slots["a"]


def test_what_cannot_be_made_or_told_apart_comes_out_and_nothing_is_kept() -> None:
    def make(host: str) -> CircuitBreaker:
        raise LookupError(host)

    hosts = Partitioned(make, key=lambda host: host)
    with pytest.raises(LookupError):
        hosts.call(get, "a")
    with pytest.raises(TypeError, match="unhashable"):
        hosts.call(len, [])
    assert hosts.policies() == {}


def test_to_keep_none_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        breakers(size=0)
