"""Lease and settle go in steps, so that no other call waits for a large one, and nothing too heavy is taken at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
import redis.asyncio

from adapters.redis_ledger import RedisLedger
from adapters.redis_ledger import ledger as module
from adapters.redis_server import Argument
from holdfast.errors import Overloaded, Unavailable
from holdfast.operations.model import Operation, Resource, State
from holdfast.operations.ports import Lease, Settlement
from holdfast.testing.clock import FakeClock
from holdfast.testing.conformance.ledger.support import done, on_resources, operation, operations
from tests.support.ledgers import holds, redis_ledger

MIB = "x" * 1_048_576


@pytest.mark.parametrize(("mailboxes", "depth"), [(320, 1), (10, 32)])
async def test_other_calls_have_their_turn_within_a_large_one(valkey_url: str, mailboxes: int, depth: int) -> None:
    async with redis_ledger(valkey_url) as ledger, redis.asyncio.Redis.from_url(valkey_url) as server:
        (warm,) = await lease_all(ledger, [operation()])  # has the server know the scripts
        await ledger.settle([settled(warm)])
        await ledger.hold(holds(*(one for _ in range(depth) for one in on_resources(mailboxes))))
        before = await scripts_run(server)
        leases = await ledger.lease(limit=320, depth=depth, ttl=30.0)
        between = await scripts_run(server)
        assert sum(await ledger.settle([settled(lease) for lease in leases])) == 320
        assert (between - before, await scripts_run(server) - between) == (10, 10)


async def test_a_lease_of_one_mailbox_is_as_deep_as_asked_for(valkey_url: str) -> None:
    async with redis_ledger(valkey_url) as ledger:
        await ledger.hold(holds(*operations(200)))
        assert taken(await ledger.lease(limit=1000, depth=150, ttl=30.0)) == 150


@pytest.mark.parametrize("mailboxes", [1, 10])
async def test_a_lease_takes_no_more_than_can_be_held_in_memory_at_once(valkey_url: str, mailboxes: int) -> None:
    async with redis_ledger(valkey_url) as ledger:
        await hold_heavy(ledger, [Resource("heavy", str(n % mailboxes)) for n in range(10)])
        counts = []
        while leases := await ledger.lease(limit=1000, depth=100, ttl=30.0):
            counts.append(taken(leases))
            await ledger.settle([settled(lease) for lease in leases])
        assert counts == [4, 4, 2]


async def test_what_waits_is_not_shown_when_it_is_too_heavy_for_one_answer(valkey_url: str) -> None:
    async with redis_ledger(valkey_url) as ledger:
        light, heavy = Resource("heavy", "1"), Resource("heavy", "2")
        held = await hold_heavy(ledger, [light] * 4 + [heavy] * 5)
        assert await ledger.waiting([light]) == [tuple(held[:4])]
        with pytest.raises(Overloaded, match="5 operations wait"):
            await ledger.waiting([heavy])


async def test_what_a_lost_holder_had_beyond_that_may_have_been_applied(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    async with redis_ledger(valkey_url, clock=clock) as ledger:
        held = await hold_heavy(ledger, [Resource("heavy", "1")] * 6)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_HEAVIEST", 1_000_000_000)
            assert taken(await ledger.lease(limit=5, depth=100, ttl=30.0)) == 5
        clock.advance(31)
        assert taken(await ledger.lease(limit=100, depth=100, ttl=30.0)) == 4
        jobs = [job for job in await ledger.jobs([one.id for one in held]) if job]
        assert [job.unsure for job in jobs] == [True] * 5 + [False]
        assert [job.state for job in jobs] == [State.RUNNING] * 4 + [State.RETRYING, State.QUEUED]


async def test_what_was_leased_before_a_step_failed_is_not_left_lying(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with redis_ledger(valkey_url) as ledger:
        await ledger.hold(holds(*on_resources(100)))
        fail_from(monkeypatch, ledger, 2)
        assert taken(await ledger.lease(limit=100, depth=1, ttl=30.0)) == 32
        with pytest.raises(Unavailable):
            await ledger.lease(limit=100, depth=1, ttl=30.0)


async def test_a_slow_server_is_asked_for_less_than_there_is_time_to_settle(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with redis_ledger(valkey_url, timeout=1.0) as ledger:
        await ledger.hold(holds(*on_resources(640)))
        run = ledger._run

        async def slowly(name: str, *arguments: Iterable[Argument]) -> Any:
            await asyncio.sleep(0.2)
            return await run(name, *arguments)

        monkeypatch.setattr(ledger, "_run", slowly)
        assert 32 <= taken(await ledger.lease(limit=640, depth=1, ttl=30.0)) <= 96


async def lease_all(ledger: RedisLedger, held: list[Operation]) -> list[Lease]:
    await ledger.hold(holds(*held))
    return await ledger.lease(limit=len(held), depth=1, ttl=30.0)


async def hold_heavy(ledger: RedisLedger, resources: list[Resource]) -> list[Operation]:
    """A MiB each."""
    held = [operation(resource, {"data": MIB}) for resource in resources]
    await ledger.hold(holds(*held))
    return held


def fail_from(monkeypatch: pytest.MonkeyPatch, ledger: RedisLedger, number: int) -> None:
    """From the call of that number on, the server is not there."""
    run, calls = ledger._run, 0

    async def fail(name: str, *arguments: Iterable[Argument]) -> Any:
        nonlocal calls
        calls += 1
        if calls >= number:
            raise Unavailable("gone")
        return await run(name, *arguments)

    monkeypatch.setattr(ledger, "_run", fail)


def taken(leases: list[Lease]) -> int:
    return sum(len(lease.jobs) for lease in leases)


def settled(lease: Lease) -> Settlement:
    return Settlement(lease, tuple(done(job.operation) for job in lease.jobs))


async def scripts_run(server: redis.asyncio.Redis) -> int:
    stats = await server.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("eval", "evalsha"))
