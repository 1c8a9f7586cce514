"""Cancelling: only what surely never takes effect, whatever of it is still on its way."""

from __future__ import annotations

import pytest

from holdfast.errors import OutcomeUnknown
from holdfast.operations.model import Applied, Operation, ProblemType, Refused, Resource, State
from holdfast.operations.write import Accepted
from holdfast.testing.faults import lost, refused, vanished
from tests.support.engine import World, again, operation

NOTE = Resource("notes", "1")


async def held(world: World, one: Operation, *, unsure: bool = False) -> str:
    world.store.next("apply", vanished if unsure else refused)
    answer = await world.writer.write(one)
    assert isinstance(answer, Accepted)
    return answer.job.operation.id


async def test_what_was_never_tried_is_cancelled_without_the_store() -> None:
    world = World()
    job = await held(world, operation())
    world.store.down = refused
    assert (await world.jobs.cancel(job)).done


@pytest.mark.parametrize("key", [None, "k"])
async def test_what_may_have_happened_and_has_not_is_cancelled_for_good(key: str | None) -> None:
    world = World()
    one = operation(key=key)
    job = await held(world, one, unsure=True)
    cancelled = await world.jobs.cancel(job)
    assert cancelled.done
    assert await world.jobs.cancel(job) == cancelled
    (late,) = await world.servers[0].apply([one])
    assert isinstance(late, Refused)
    assert late.problem.type is ProblemType.CANCELLED
    assert await world.record(NOTE) is None


async def test_a_repeat_of_what_took_effect_long_ago_cannot_be_cancelled() -> None:
    world = World()
    one = operation(key="k")
    assert isinstance(await world.writer.write(one), Applied)
    job = await held(world, again(one))
    found = await world.jobs.cancel(job)
    assert found.job is not None
    assert (found.done, found.job.state) == (False, State.QUEUED)
    await world.replayer.replay()
    record = await world.record(NOTE)
    assert record is not None
    assert record.version == 1


async def test_while_the_store_cannot_be_asked_a_repeat_cannot_be_cancelled() -> None:
    world = World()
    one = operation(key="k")
    await world.writer.write(one)
    job = await held(world, again(one))
    world.store.down = refused
    assert not (await world.jobs.cancel(job)).done


async def test_a_cancelling_that_the_store_did_not_answer_is_unknown_and_can_be_repeated() -> None:
    world = World()
    job = await held(world, operation(key="k"))
    world.store.next("apply", lost)
    with pytest.raises(OutcomeUnknown):
        await world.jobs.cancel(job)
    assert (await world.jobs.cancel(job)).done


async def test_a_replay_that_comes_before_the_ledger_knows_settles_what_was_withdrawn_as_failed() -> None:
    world = World()
    job = await held(world, operation(key="k"))
    world.ledger.next("cancel", lambda work: work(), refused)
    with pytest.raises(Exception, match="refused"):
        await world.jobs.cancel(job)
    await world.replayer.replay()
    found = await world.jobs.get(job)
    assert found is not None
    assert found.state is State.FAILED
    assert isinstance(found.outcome, Refused)
    assert found.outcome.problem.type is ProblemType.CANCELLED
    assert await world.record(NOTE) is None


async def test_what_is_being_applied_is_not_withdrawn() -> None:
    world = World()
    job = await held(world, operation(key="k"))
    await world.ledger.port.lease(limit=1, depth=1, ttl=10)
    world.store.calls.clear()
    assert not (await world.jobs.cancel(job)).done
    assert world.store.calls == []
