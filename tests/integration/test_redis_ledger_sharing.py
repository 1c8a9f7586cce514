"""The ledger as several processes share it, in large steps, on the server's own clock."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from holdfast.errors import Overloaded
from holdfast.operations.model import Resource, State
from holdfast.operations.ports import Hold, Lease, Settlement
from holdfast.testing.clock import FakeClock
from holdfast.testing.conformance.ledger.support import NOTE, RETENTION, done, ids, on_resources, operation, operations
from tests.support.ledgers import holds, redis_ledger


def settlements(leases: list[Lease]) -> list[Settlement]:
    return [Settlement(lease, tuple(done(job.operation) for job in lease.jobs)) for lease in leases]


async def test_the_servers_clock_is_the_clock_of_all(valkey_url: str) -> None:
    async with redis_ledger(valkey_url) as one, redis_ledger(valkey_url) as other:
        before = time.time()
        (job,) = await one.hold(holds(operation()))
        assert job.next_attempt_at is not None
        assert before - 0.002 <= job.next_attempt_at <= time.time() + 0.002
        await one.lease(limit=1, depth=1, ttl=60.0)
        assert await other.due(limit=1) == []


async def test_any_number_of_processes_drain_a_backlog_without_sharing_an_operation(valkey_url: str) -> None:
    held = [operation(Resource("notes", str(n))) for n in range(100) for _ in range(3)]
    leased: list[str] = []

    async def drain() -> int:
        settled = 0
        async with redis_ledger(valkey_url) as ledger:
            while leases := await ledger.lease(limit=7, depth=2, ttl=60.0):
                leased.extend(job.operation.id for lease in leases for job in lease.jobs)
                settled += sum(await ledger.settle(settlements(leases)))
        return settled

    async with redis_ledger(valkey_url) as ledger:
        await ledger.hold(holds(*held))
        counts = await asyncio.gather(*(drain() for _ in range(5)))
        assert sorted(leased) == sorted(ids(held))
        assert sum(counts) == len(held)
        assert (await ledger.stats()).mailboxes == 0


async def test_processes_that_hold_the_same_operations_at_once_hold_them_once(valkey_url: str) -> None:
    held = operations(20)

    async def hold() -> None:
        async with redis_ledger(valkey_url) as ledger:
            await asyncio.gather(*(ledger.hold(holds(one)) for one in held))

    await asyncio.gather(*(hold() for _ in range(4)))
    async with redis_ledger(valkey_url) as ledger:
        (waiting,) = await ledger.waiting([held[0].resource])
        assert sorted(ids(waiting)) == ids(held)


async def test_steps_of_thousands_are_whole(valkey_url: str) -> None:
    """More than fits the Lua stack in one call."""
    held = on_resources(9_000) + operations(3_000)
    clock = FakeClock()
    async with redis_ledger(valkey_url, clock=clock, retention=RETENTION, timeout=60.0) as ledger:
        assert len(await ledger.hold(holds(*held))) == len(held)
        assert all(gate.waiting for gate in await ledger.gate(held))
        assert (await ledger.backlog(cursor=0)).size == 9_001
        names = [one.resource for one in held[:9_000]]
        named = await ledger.lease(limit=9_000, depth=1, ttl=60.0, resources=names)
        rest = await ledger.lease(limit=9_000, depth=9_000, ttl=60.0)
        assert [sum(len(lease.jobs) for lease in leases) for leases in (named, rest)] == [9_000, 3_000]
        assert sum(await ledger.settle(settlements(named + rest))) == len(held)
        assert (await ledger.stats()).mailboxes == 0
        page, _ = await ledger.list_jobs(state=State.SUCCEEDED, cursor=None, limit=9_500)
        assert len(page) == 9_500
        clock.advance(RETENTION + 1)
        assert await ledger.prune(limit=11_000) == 11_000
        assert await ledger.prune(limit=11_000) == 1_000


async def test_a_large_backlog_comes_in_pages_and_is_whole(valkey_url: str) -> None:
    held = on_resources(25)
    async with redis_ledger(valkey_url, backlog_page=10) as ledger:
        await ledger.hold(holds(*held))
        seen: list[Resource] = []
        backlog = await ledger.backlog(cursor=0)
        while backlog.entered:
            assert (len(backlog.entered) <= 10, backlog.size) == (True, 25)
            seen += backlog.entered
            backlog = await ledger.backlog(cursor=backlog.cursor)
        assert sorted(seen) == sorted(one.resource for one in held)


async def test_a_mailbox_of_thousands_is_not_shown_at_once(valkey_url: str) -> None:
    async with redis_ledger(valkey_url) as ledger:
        await ledger.hold(holds(*operations(1_000)))
        (shown,) = await ledger.waiting([NOTE])
        assert len(shown) == 1_000
        await ledger.hold(holds(operation()))
        with pytest.raises(Overloaded, match="1001 operations wait"):
            await ledger.waiting([NOTE])


async def test_the_server_itself_forgets_settled_jobs_and_never_others(valkey_url: str) -> None:
    waits, good, bad = operation(), operation(Resource("a", "1")), operation(Resource("b", "1"))
    gone = operation(Resource("c", "1"))
    async with redis_ledger(valkey_url, retention=RETENTION) as ledger:
        await ledger.hold(holds(waits, good, bad, gone))
        leases = await ledger.lease(limit=1, depth=1, ttl=60.0, resources=[good.resource])
        await ledger.settle(settlements(leases))
        await ledger.cancel(gone.id)
        with redis.Redis.from_url(valkey_url) as operator:
            lives = {one.id: operator.ttl(f"holdfast:op:{one.id}") for one in (waits, good, bad, gone)}
            others = [key for key in operator.scan_iter() if b":op:" not in key]
            assert all(operator.ttl(key) == -1 for key in others)
    assert lives[waits.id] == lives[bad.id] == -1
    assert all(RETENTION - 60 < lives[one.id] <= RETENTION for one in (good, gone))


async def test_an_operation_that_expired_and_was_held_anew_is_not_pruned(valkey_url: str) -> None:
    clock = FakeClock()
    one = operation(keyed=True)
    async with redis_ledger(valkey_url, clock=clock, retention=RETENTION) as ledger:
        await ledger.hold(holds(one))
        await ledger.settle(settlements(await ledger.lease(limit=1, depth=1, ttl=60.0)))
        with redis.Redis.from_url(valkey_url) as operator:
            operator.delete(f"holdfast:op:{one.id}")  # as its expiry does, before anyone prunes
        clock.advance(2 * RETENTION)
        await ledger.hold([Hold(one)])
        assert await ledger.list_jobs(state=State.SUCCEEDED, cursor=None, limit=10) == ([], None)
        await ledger.prune(limit=10)
        assert await ledger.waiting([one.resource]) == [(one,)]
        assert [job.state for job in await ledger.jobs([one.id]) if job] == [State.QUEUED]


async def test_what_this_version_cannot_read_holds_up_nobody_else(
    valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    strange, plain = operation(Resource("a", "1")), operation(Resource("b", "1"))
    clock = FakeClock()
    async with redis_ledger(valkey_url, clock=clock) as ledger:
        await ledger.hold(holds(strange, plain))
        with redis.Redis.from_url(valkey_url) as operator:
            key = f"holdfast:op:{strange.id}"
            written = operator.hget(key, "operation") or b""
            operator.hset(key, "operation", written.replace(b'"replace"', b'"novelty"'))
            (lease,) = await ledger.lease(limit=10, depth=10, ttl=60.0)
            assert lease.jobs[0].operation == plain
            assert "what is held for a/1 cannot be read" in caplog.text
            # Whoever can read it takes it when the lease has run out.
            operator.hset(key, "operation", written)
            clock.advance(60)
            (lease,) = await ledger.lease(limit=10, depth=10, ttl=60.0, resources=[strange.resource])
            assert lease.jobs[0].operation == strange


async def test_an_operation_deleted_by_hand_holds_up_nobody_else_and_is_reported(
    valkey_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, gone, behind = operations(3)
    alone = operation(Resource("a", "1"))
    async with redis_ledger(valkey_url) as ledger:
        await ledger.hold(holds(first, gone, behind, alone))
        with redis.Redis.from_url(valkey_url) as operator:
            operator.delete(f"holdfast:op:{gone.id}", f"holdfast:op:{alone.id}")
        (lease,) = await ledger.lease(limit=10, depth=10, ttl=60.0)
        assert ids(lease.jobs) == ids([first, behind])
        assert gone.id in caplog.text
        assert alone.id in caplog.text
        assert await ledger.settle(settlements([lease])) == [2]
        assert (await ledger.backlog(cursor=0)).size == 0
        assert await ledger.due(limit=10) == []


async def test_a_settled_job_keeps_no_payload_of_its_own(valkey_url: str) -> None:
    one = operation(payload={"secret": "x" * 5000})
    async with redis_ledger(valkey_url) as ledger:
        await ledger.hold(holds(one))
        await ledger.cancel(one.id)
        with redis.Redis.from_url(valkey_url) as operator:
            assert b"x" * 5000 not in b"".join(operator.hgetall(f"holdfast:op:{one.id}").values())


async def test_ledgers_with_different_prefixes_do_not_meet(valkey_url: str) -> None:
    async with redis_ledger(valkey_url) as one, redis_ledger(valkey_url, prefix="other:") as other:
        await one.hold(holds(operation()))
        assert (await other.stats()).waiting == 0
        assert await other.due(limit=10) == []
