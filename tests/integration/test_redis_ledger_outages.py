"""The ledger while its server is away, frozen, killed, emptied or full."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from adapters.redis_ledger import RedisLedger
from holdfast.errors import OutcomeUnknown, Overloaded, TimedOut, Transient, Unavailable
from holdfast.events import Event
from holdfast.operations.model import Operation, Resource, State
from holdfast.operations.ports import Lease, Settlement
from holdfast.testing.conformance.ledger.support import done, ids, on_resources, operation, operations
from tests.support.ledgers import holds, redis_ledger
from tests.support.polling import until, until_seen
from tests.support.processes import Server
from tests.support.servers import DURABLE


async def test_while_nobody_is_there_every_call_says_that_nothing_has_happened() -> None:
    async with redis_ledger("redis://127.0.0.1:1/0") as ledger:
        one = operation()
        calls = [
            ledger.gate([one]),
            ledger.hold(holds(one)),
            ledger.lease(limit=1, depth=1, ttl=1.0),
            ledger.settle([Settlement(Lease(one.resource, "a token", ()), (done(one),))]),
            ledger.due(limit=1),
            ledger.jobs([one.id]),
            ledger.cancel(one.id),
            ledger.stats(),
            ledger.ping(),
        ]
        for call in calls:
            with pytest.raises(Unavailable, match=r"127\.0\.0\.1"):
                await call


async def test_after_a_kill_the_first_call_works_and_everything_is_there(private_valkey: Server) -> None:
    async with redis_ledger(private_valkey.url) as ledger:
        held = on_resources(20)
        # Many connections at once, so that many are stale afterwards.
        await asyncio.gather(*(ledger.hold(holds(one)) for one in held))
        private_valkey.kill()
        private_valkey.start()
        assert [job.operation for job in await ledger.hold(holds(*held))] == held
        assert ids([job for job in await ledger.jobs(ids(held)) if job]) == ids(held)
        assert (await ledger.stats()).waiting == 20


async def test_a_call_over_a_connection_that_is_known_to_have_ended_was_sent_nothing(private_valkey: Server) -> None:
    async with redis_ledger(private_valkey.url) as ledger:
        await ledger.hold(holds(operation()))
        private_valkey.kill()
        await _turn()
        with pytest.raises(Unavailable):
            await ledger.hold(holds(operation()))


async def test_every_call_works_at_once_after_its_connection_was_cut(private_valkey: Server) -> None:
    one = operation()
    async with redis_ledger(private_valkey.url, pool_size=1) as ledger:
        await ledger.hold(holds(one))
        with redis.Redis.from_url(private_valkey.url) as operator:
            for call in (
                lambda: ledger.gate([one]),
                lambda: ledger.hold(holds(one)),
                lambda: ledger.lease(limit=1, depth=1, ttl=1.0),
                lambda: ledger.jobs([one.id]),
                lambda: ledger.ping(),
            ):
                operator.client_kill_filter(_type="normal", skipme=True)
                await call()


async def test_what_was_acknowledged_survives_any_number_of_hard_kills(private_valkey: Server) -> None:
    """Writers hold without a pause while the server is killed again and again."""
    resources = [Resource("writer", str(number)) for number in range(4)]
    acknowledged: dict[Resource, list[str]] = {resource: [] for resource in resources}
    up, over = asyncio.Event(), asyncio.Event()
    up.set()

    async def write(resource: Resource) -> None:
        async with redis_ledger(private_valkey.url) as ledger:
            while not over.is_set():
                await up.wait()
                batch = operations(3, resource)
                with suppress(Transient):
                    acknowledged[resource] += ids(await ledger.hold(holds(*batch)))

    writers = [asyncio.create_task(write(resource)) for resource in resources]
    for least in (50, 100, 150):
        await until(lambda least=least: all(len(found) > least for found in acknowledged.values()))  # type: ignore[misc]
        await asyncio.to_thread(private_valkey.kill)
        up.clear()
        await asyncio.to_thread(private_valkey.start)
        up.set()
    over.set()
    await asyncio.gather(*writers)
    with redis.Redis.from_url(private_valkey.url, decode_responses=True) as operator:
        waiting = [operator.lrange(f"holdfast:mailbox:{resource}", 0, -1) for resource in resources]
    for found, sure in zip(waiting, acknowledged.values(), strict=True):
        assert [id_ for id_ in found if id_ in set(sure)] == sure
        assert len(found) == len(set(found))


async def test_a_frozen_server_costs_a_caller_its_deadline_and_the_event_loop_nothing(private_valkey: Server) -> None:
    one = operation()
    timeout = 4.0
    async with redis_ledger(private_valkey.url, timeout=timeout) as ledger:
        await until_seen(lambda: _answers(ledger), "its connection is made")
        private_valkey.freeze()
        holding = asyncio.create_task(ledger.hold(holds(one)))
        async with asyncio.timeout(30):
            longest = await _longest_pause_until(holding)
        with pytest.raises(TimedOut):
            await holding
        assert longest < timeout - 1.0
        private_valkey.thaw()
    async with redis_ledger(private_valkey.url) as ledger:
        # Whether the first one arrived or not: there is one.
        await ledger.hold(holds(one))
        assert await ledger.waiting([one.resource]) == [(one,)]


async def test_a_server_that_does_not_greet_was_sent_nothing(private_valkey: Server) -> None:
    async with redis_ledger(private_valkey.url, connect_timeout=0.2) as ledger:
        private_valkey.freeze()
        with pytest.raises(Unavailable, match="does not greet"):
            await ledger.gate([operation()])
        private_valkey.thaw()


async def test_while_all_connections_wait_for_a_frozen_server_others_are_refused_in_time(
    private_valkey: Server,
) -> None:
    timeout = 0.5
    async with redis_ledger(private_valkey.url, pool_size=1, timeout=timeout, connect_timeout=timeout) as ledger:
        await until_seen(lambda: _answers(ledger), "its connection is made")
        private_valkey.freeze()
        async with asyncio.timeout(20 * timeout):
            answers = await asyncio.gather(*(ledger.due(limit=1) for _ in range(50)), return_exceptions=True)
        assert all(isinstance(answer, Transient) for answer in answers)
        private_valkey.thaw()
        await until_seen(lambda: _answers(ledger), "it answers again")
        assert ledger.pool().used == 0


async def test_a_cancelled_call_leaves_no_answer_behind_for_the_next(valkey_url: str) -> None:
    async with redis_ledger(valkey_url, pool_size=1) as ledger:
        held = on_resources(30)
        await ledger.hold(holds(*held))
        for one in held:
            abandoned = asyncio.create_task(ledger.jobs([held[0].id]))
            for _ in range(3):
                await asyncio.sleep(0)
            abandoned.cancel()
            assert ids([job for job in await ledger.jobs([one.id]) if job]) == [one.id]


async def test_a_server_that_forgets_its_scripts_is_told_them_again(valkey_url: str) -> None:
    async with redis_ledger(valkey_url) as ledger:
        await ledger.hold(holds(operation()))
        with redis.Redis.from_url(valkey_url) as operator:
            operator.script_flush()
        assert len(await ledger.hold(holds(operation()))) == 1


async def test_a_ledger_that_lost_what_it_held_says_so_once(valkey_url: str, caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []
    async with redis_ledger(valkey_url, listener=events.append) as ledger:
        await ledger.hold(holds(operation()))
        assert events == []
        with redis.Redis.from_url(valkey_url) as operator:
            operator.flushall()
        with caplog.at_level(logging.ERROR):
            assert (await ledger.stats()).waiting == 0
            assert await ledger.due(limit=1) == []
            await ledger.hold(holds(operation()))
            await ledger.stats()
    assert [event.name for event in events] == ["ledger.lost"]
    assert len(caplog.records) == 1
    assert "has lost the ledger" in caplog.text


async def test_a_ledger_made_anew_by_another_process_is_noticed_too(valkey_url: str) -> None:
    events: list[Event] = []
    async with redis_ledger(valkey_url, listener=events.append) as ledger, redis_ledger(valkey_url) as other:
        await ledger.hold(holds(operation()))
        with redis.Redis.from_url(valkey_url) as operator:
            operator.flushall()
        await other.hold(holds(operation()))
        await ledger.gate([operation()])
        await ledger.gate([operation()])
    assert [event.name for event in events] == ["ledger.lost"]


async def test_a_ledger_that_its_only_user_fills_again_at_once_was_lost_all_the_same(valkey_url: str) -> None:
    events: list[Event] = []
    async with redis_ledger(valkey_url, listener=events.append) as ledger:
        await ledger.hold(holds(operation()))
        with redis.Redis.from_url(valkey_url) as operator:
            operator.flushall()
        await ledger.hold(holds(operation()))
    assert [event.name for event in events] == ["ledger.lost"]


async def test_the_backlog_of_a_ledger_made_anew_is_seen_by_whoever_followed_the_old_one(valkey_url: str) -> None:
    async with redis_ledger(valkey_url) as ledger:
        await ledger.hold(holds(*on_resources(100)))
        cursor = (await ledger.backlog(cursor=0)).cursor
        with redis.Redis.from_url(valkey_url) as operator:
            operator.flushall()
        one = operation()
        await ledger.hold(holds(one))
        assert (await ledger.backlog(cursor=cursor)).entered == [one.resource]


async def test_a_server_out_of_memory_refuses_the_whole_batch_and_still_drains(
    make_valkey: Callable[..., Server],
) -> None:
    server = make_valkey(*DURABLE, "--maxmemory", "8mb")
    async with redis_ledger(server.url) as ledger:
        held, refused = await _fill(ledger)
        assert (await ledger.stats()).waiting == len(held) > 0
        assert await ledger.jobs(ids(refused)) == [None] * len(refused)
        await ledger.ping()
        settled = 0
        while leases := await ledger.lease(limit=len(held), depth=len(held), ttl=30.0):
            settlements = [Settlement(lease, tuple(done(job.operation) for job in lease.jobs)) for lease in leases]
            settled += sum(await ledger.settle(settlements))
        assert settled == len(held)


async def _fill(ledger: RedisLedger) -> tuple[list[Operation], list[Operation]]:
    """Hold until the server has no memory left; what is held, and the batch that was refused."""
    held: list[Operation] = []
    while True:
        batch = [operation(Resource("big", str(n)), {"data": "x" * 2000}) for n in range(50)]
        try:
            await ledger.hold(holds(*batch))
        except Overloaded:
            return held, batch
        held += batch


async def test_a_replica_is_not_a_ledger(make_valkey: Callable[..., Server]) -> None:
    master, replica = make_valkey(*DURABLE), make_valkey(*DURABLE)
    with redis.Redis.from_url(replica.url) as operator:
        operator.replicaof("127.0.0.1", master.url.rpartition(":")[2].partition("/")[0])
        async with redis_ledger(replica.url) as ledger:
            for call in (ledger.ping(), ledger.hold(holds(operation()))):
                with pytest.raises(Unavailable, match=r"READONLY|MASTERDOWN|LOADING"):
                    await call


async def test_a_server_that_cannot_write_to_its_disk_is_not_a_ledger(make_valkey: Callable[..., Server]) -> None:
    server = make_valkey(*DURABLE, "--save", "3600 1", "--dbfilename", "taken.rdb")
    with redis.Redis.from_url(server.url, decode_responses=True) as operator:
        folder = Path(operator.config_get("dir")["dir"])
        async with redis_ledger(server.url) as ledger:
            held = operation()
            await ledger.hold(holds(held))
            (folder / "taken.rdb").unlink(missing_ok=True)
            (folder / "taken.rdb" / "in the way").mkdir(parents=True)
            operator.bgsave()
            await until(lambda: operator.info("persistence")["rdb_last_bgsave_status"] == "err")
            for call in (ledger.ping(), ledger.hold(holds(operation())), ledger.lease(limit=1, depth=1, ttl=1.0)):
                with pytest.raises(Unavailable, match="MISCONF"):
                    await call
            assert [job.state for job in await ledger.jobs([held.id]) if job] == [State.QUEUED]


async def test_a_lost_answer_after_sending_is_an_unknown_outcome(private_valkey: Server) -> None:
    async with redis_ledger(private_valkey.url) as ledger:
        await ledger.ping()
        private_valkey.freeze()
        holding = asyncio.create_task(ledger.hold(holds(*operations(2))))
        await _sent(holding)
        await asyncio.to_thread(private_valkey.kill)
        with pytest.raises(OutcomeUnknown):
            await holding


async def _sent(task: asyncio.Task[object]) -> None:
    """Let the task come as far as it can without an answer."""
    await _turn()
    assert not task.done()


async def _turn() -> None:
    """Let the event loop take in what has arrived."""
    for _ in range(20):
        await asyncio.sleep(0)


async def _longest_pause_until(task: asyncio.Task[object]) -> float:
    """The longest time that the event loop left others waiting while the task ran."""
    longest, last = 0.0, time.monotonic()
    while not task.done():
        await asyncio.wait([task], timeout=0.001)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    return longest


async def _answers(ledger: RedisLedger) -> bool:
    await ledger.ping()
    return True
