"""How held operations come to the store: once, in order, however long it takes and whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from holdfast.errors import CircuitOpen, Unavailable
from holdfast.operations.model import Applied, Kind, Resource, State
from holdfast.operations.model import Fault as Failed
from holdfast.operations.pace import PaceOptions
from holdfast.operations.replay import ReplayOptions
from holdfast.operations.sweep import Sweeper
from holdfast.operations.write import Accepted
from holdfast.testing.faults import Fault, broken, lost, refused, vanished
from tests.support.engine import World, operation, pass_time

NOTE = Resource("notes", "1")


async def hold(world: World, *payloads: dict[str, Any], resource: str = "notes/1") -> list[str]:
    """Hold a merge of each payload; the first one creates the record."""
    ids = []
    for n, payload in enumerate(payloads):
        kind = Kind.MERGE if n else Kind.REPLACE
        answer = await world.writer.write(operation(kind, resource, payload), hold_at_once=True)
        assert isinstance(answer, Accepted)
        ids.append(answer.job.operation.id)
    return ids


async def states(world: World, ids: list[str]) -> list[State]:
    jobs = [await world.jobs.get(id_) for id_ in ids]
    return [job.state for job in jobs if job is not None]


async def test_operations_of_a_resource_are_applied_in_the_order_in_which_they_were_held() -> None:
    world = World(replay=ReplayOptions(depth=3, pace=PaceOptions(smallest=4, largest=4)))
    ids = await hold(world, *({"last": n, f"m{n}": n} for n in range(10)))
    assert await world.replayer.replay() == 10
    record = await world.record(NOTE)
    assert record is not None
    assert record.data is not None
    assert (record.version, record.data["last"], len(record.data)) == (10, 9, 11)
    assert await states(world, ids) == [State.SUCCEEDED] * 10


async def test_many_mailboxes_move_in_one_round_trip() -> None:
    world = World(replay=ReplayOptions(lanes=1, pace=PaceOptions(smallest=100)))
    for n in range(50):
        await hold(world, {"n": n}, resource=f"notes/{n}")
    world.store.calls.clear()
    world.ledger.calls.clear()
    assert await world.replayer.replay() == 50
    assert world.store.calls == ["apply"]
    assert world.ledger.calls.count("settle") == 1


async def test_an_outage_of_three_days_uses_up_no_attempt() -> None:
    world = World()
    ids = await hold(world, {"n": 1})
    world.store.down = refused
    for _ in range(3 * 24):
        await pass_time(world, 3600)
        assert await world.replayer.replay() == 0
    job = await world.jobs.get(ids[0])
    assert job is not None
    assert (job.state.settled, job.attempts) == (False, 0)
    world.store.down = None
    await pass_time(world, 10)
    assert await world.replayer.replay() == 1
    assert await states(world, ids) == [State.SUCCEEDED]


async def test_a_store_known_to_be_down_is_not_tried_and_leases_nothing() -> None:
    world = World(replay=ReplayOptions(lanes=1))
    await hold(world, {"n": 1})
    world.store.down = refused
    for _ in range(20):
        await world.replayer.replay()
        await pass_time(world, 6)
    assert world.store.calls.count("apply") == 5
    assert world.ledger.calls.count("lease") == 5


@pytest.mark.parametrize("fault", [lost, vanished])
async def test_an_attempt_of_unknown_outcome_is_repeated_with_one_effect(fault: Fault) -> None:
    world = World()
    ids = await hold(world, {"n": 1}, {"m": 2})
    world.store.next("apply", fault)
    await world.replayer.replay()
    await pass_time(world, 6)
    await world.replayer.replay()
    record = await world.record(NOTE)
    assert record is not None
    assert (record.version, record.data) == (2, {"n": 1, "m": 2})
    assert await states(world, ids) == [State.SUCCEEDED] * 2


async def test_a_settlement_whose_answer_was_lost_is_repeated_and_settles_once() -> None:
    world = World()
    ids = await hold(world, {"n": 1}, {"m": 2})
    world.ledger.next("settle", lost)
    await world.replayer.replay()
    assert await states(world, ids) == [State.SUCCEEDED] * 2


async def test_a_worker_that_dies_between_apply_and_settle_leaves_it_to_the_next_one() -> None:
    world = World()
    ids = await hold(world, {"n": 1}, {"m": 2})
    world.ledger.next("settle", vanished, vanished)
    await world.replayer.replay()
    assert await states(world, ids) != [State.SUCCEEDED] * 2
    heir = world.peer()
    assert await heir.replayer.replay() == 0
    await pass_time(world, 20)
    assert await heir.replayer.replay() == 2
    record = await world.record(NOTE)
    assert record is not None
    assert record.version == 2


async def test_a_fault_of_its_own_is_counted_and_tried_again_later() -> None:
    world = World()
    ids = await hold(world, {"n": 1})
    world.store.next("apply", broken(ZeroDivisionError("a bug")))
    await world.replayer.replay()
    job = await world.jobs.get(ids[0])
    assert job is not None
    assert (job.state, job.attempts, job.last_error) == (State.RETRYING, 1, "ZeroDivisionError; the log says more")
    assert await world.replayer.replay() == 0
    await pass_time(world, 2)
    assert await world.replayer.replay() == 1


async def test_an_operation_that_fails_too_often_is_dead_and_blocks_its_mailbox_until_it_is_retried() -> None:
    world = World(replay=ReplayOptions(max_attempts=3))
    ids = await hold(world, {"n": 1}, {"m": 2})
    world.store.down = broken(ZeroDivisionError("a bug"))
    for _ in range(5):
        await world.replayer.replay()
        await pass_time(world, 600)
    assert await states(world, ids) == [State.DEAD, State.RETRYING]
    world.store.down = None
    assert await world.replayer.replay() == 0
    retried = await world.jobs.retry(ids[0])
    assert retried is not None
    assert world.rung[-1] == NOTE
    assert await world.replayer.replay() == 2
    assert await states(world, ids) == [State.SUCCEEDED] * 2


async def test_by_policy_the_next_one_passes_a_dead_one() -> None:
    world = World(replay=ReplayOptions(max_attempts=1, dead="pass"))
    first = await hold(world, {"n": 1})
    second = await hold(world, {"n": 2})
    world.store.next("apply", broken(ZeroDivisionError("a bug")))
    await world.replayer.replay()
    assert await states(world, first + second) == [State.DEAD, State.SUCCEEDED]


async def test_a_bug_costs_the_operation_that_meets_it_and_not_its_neighbours() -> None:
    world = World()
    ids = [(await hold(world, {"n": n}, resource=f"notes/{n}"))[0] for n in range(10)]
    bad = ids[4]

    async def fails_on_the_bad_one(operations: Any) -> Any:
        if any(one.id == bad for one in operations):
            raise ZeroDivisionError("a bug")
        return await apply(operations)

    apply = world.replayer._store.apply
    world.replayer._store = type("Store", (), {"apply": staticmethod(fails_on_the_bad_one)})()  # type: ignore[assignment]
    await world.replayer.replay()
    assert await states(world, ids) == [State.RETRYING if id_ == bad else State.SUCCEEDED for id_ in ids]


async def test_two_replayers_share_a_backlog_without_doing_anything_twice() -> None:
    world = World(replay=ReplayOptions(pace=PaceOptions(smallest=5, largest=5)))
    for n in range(60):
        await hold(world, {"n": n}, {"m": n}, resource=f"notes/{n}")
    both = await asyncio.gather(world.replayer.replay(), world.peer().replayer.replay())
    assert sum(both) == 120
    records = [await world.record(Resource("notes", str(n))) for n in range(60)]
    assert [record.version for record in records if record] == [2] * 60


async def test_a_replay_that_is_told_to_stop_ends_after_its_batch_and_leaves_the_rest_due() -> None:
    world = World(replay=ReplayOptions(lanes=1, pace=PaceOptions(smallest=5, largest=5)))
    for n in range(20):
        await hold(world, {"n": n}, resource=f"notes/{n}")
    replaying = asyncio.ensure_future(world.replayer.replay())
    while "settle" not in world.ledger.calls:
        await asyncio.sleep(0)
    world.replayer.stop()
    while not replaying.done():
        await pass_time(world, 1)
    assert replaying.result() < 20
    assert len(await world.ledger.port.due(limit=100)) == 20 - replaying.result()


async def test_a_replay_whose_time_is_over_leaves_the_rest_to_the_next_one() -> None:
    world = World(replay=ReplayOptions(lanes=1, time_slice=0.1, pace=PaceOptions(smallest=5, largest=5)))
    for n in range(20):
        await hold(world, {"n": n}, resource=f"notes/{n}")
    replaying = asyncio.create_task(world.replayer.replay())
    while "settle" not in world.ledger.calls:
        await asyncio.sleep(0)
    world.clock.advance(0.2)
    while not replaying.done():
        await pass_time(world, 0.01)
    assert 0 < replaying.result() < 20
    assert len(await world.ledger.port.due(limit=100)) == 20 - replaying.result()


async def test_a_lost_doorbell_strands_nothing() -> None:
    world = World()
    await hold(world, {"n": 1})
    world.rung.clear()
    assert await world.sweeper.sweep() == 1
    assert world.rung == [NOTE]
    assert await world.replayer.replay(world.rung) == 1
    assert await world.sweeper.sweep() == 0


async def test_the_sweep_does_not_ring_while_the_store_is_down_and_rings_as_soon_as_it_is_back() -> None:
    world = World()
    world.store.down = refused
    for n in range(5):
        await world.writer.write(operation(resource=f"notes/{n}"))
    world.rung.clear()
    assert await world.sweeper.sweep() == 0
    world.store.down = None
    await pass_time(world, 2)
    assert await world.sweeper.sweep() == 5


async def test_the_sweep_goes_on_for_ever_through_an_outage_of_the_ledger() -> None:
    world = World()
    await hold(world, {"n": 1})
    world.rung.clear()
    world.ledger.down = refused
    sweeping = asyncio.ensure_future(world.sweeper.run())
    for _ in range(10):
        await pass_time(world, 1)
    assert not world.rung
    world.ledger.down = None
    for _ in range(10):
        await pass_time(world, 1)
    assert NOTE in world.rung
    sweeping.cancel()


async def test_a_sweep_in_trouble_tells_the_change_and_not_every_try(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.sweeper._ring = rings_nobody
    await hold(world, {"n": 1})
    with caplog.at_level("INFO", "holdfast.operations.sweep"):
        sweeping = asyncio.ensure_future(world.sweeper.run())
        for _ in range(10):
            await pass_time(world, 1)
        world.sweeper._ring = rings
        await pass_time(world, 1)
    sweeping.cancel()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def rings_nobody(_resources: object, tries: list[int] = []) -> None:  # noqa: B006
    tries.append(0)
    raise CircuitOpen("the broker is not answering", 1.0 / len(tries))


async def rings(_resources: object) -> None:
    pass


async def test_fresh_writes_go_direct_again_after_the_drain() -> None:
    world = World()
    await hold(world, {"n": 1})
    await world.replayer.replay()
    assert isinstance(await world.writer.write(operation()), Applied)


async def test_the_ids_of_operations_are_kept_for_as_long_as_something_as_old_waits() -> None:
    world = World()
    now = world.clock.time()
    waiting = operation(at=now, key="waits")
    world.store.next("apply", lost)
    await world.writer.write(waiting)
    await world.writer.write(operation(resource="notes/2", at=now))
    await pass_time(world, 30 * 86_400.0)
    assert (await world.sweeper.prune())[0] == 0
    await world.replayer.replay()
    record = await world.record(NOTE)
    assert record is not None
    assert record.version == 1
    assert (await world.sweeper.prune())[0] == 2


async def test_pruning_goes_on_at_the_next_sweep_while_there_is_more_and_rests_after_that() -> None:
    world = World()
    for n in range(5):
        await world.writer.write(operation(resource=f"notes/{n}", at=world.clock.time()))
    await pass_time(world, 30 * 86_400.0)
    parts: dict[str, Any] = {"store": world.store.port, "ledger": world.ledger.port, "clock": world.clock}
    guards: dict[str, Any] = {"store_guard": world.store_guard, "ledger_guard": world.ledger_guard}
    sweeper = Sweeper(**parts, **guards, ring=_ring_nobody, interval=1.0, prune_interval=60.0, prune_batch=2)
    sweeping = asyncio.create_task(sweeper.run())
    pruned = []
    for seconds in (0, 59, 1, 1, 1, 1, 1, 57, 1):
        await pass_time(world, seconds)
        pruned.append(world.store.calls.count("prune"))
    sweeping.cancel()
    assert pruned == [0, 0, 1, 2, 3, 3, 3, 3, 4]


async def _ring_nobody(_resources: Sequence[Resource]) -> None: ...


async def test_an_id_outlives_the_repeat_of_its_key_that_waits() -> None:
    world = World()
    first = operation(at=world.clock.time(), key="used before")
    await world.writer.write(first)
    await pass_time(world, 6 * 86_400.0)
    world.store.next("apply", refused)
    assert isinstance(await world.writer.write(replace(first, accepted_at=world.clock.time())), Accepted)
    await pass_time(world, 2 * 86_400.0)
    assert (await world.sweeper.prune())[0] == 0
    await world.replayer.replay()
    record = await world.record(NOTE)
    assert record is not None
    assert record.version == 1


async def test_a_record_that_cannot_be_written_for_long_uses_up_no_attempt_and_is_held_when_live() -> None:
    world = World(replay=ReplayOptions(max_attempts=2))

    async def locked(_work: object) -> list[Failed]:
        return [Failed(Unavailable("somebody holds a lock on it"))]

    world.store.next("apply", *[locked] * 10)
    answer = await world.writer.write(operation())
    assert isinstance(answer, Accepted)
    for _ in range(9):
        await world.replayer.replay()
        await pass_time(world, 60)
    job = await world.jobs.get(answer.job.operation.id)
    assert job is not None
    assert (job.state, job.attempts) == (State.RETRYING, 0)
    assert await world.replayer.replay() == 1
