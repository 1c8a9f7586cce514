"""What a write comes to, by what answers and what does not."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.errors import OutcomeUnknown, Overloaded, Unavailable
from holdfast.operations.batch import BatchOptions
from holdfast.operations.model import Applied, Kind, Precondition, ProblemType, Refused, Resource, State
from holdfast.operations.write import Accepted, WriteOptions
from holdfast.testing.faults import Fault, broken, hung, lost, refused, vanished
from tests.support.engine import World, again, operation, pass_time

NOTE = Resource("notes", "1")


async def test_a_write_is_applied_at_once_when_all_is_well() -> None:
    world = World()
    answer = await world.writer.write(operation(payload={"a": 1}))
    assert isinstance(answer, Applied)
    assert (answer.record.version, answer.record.data) == (1, {"a": 1})
    assert "hold" not in world.ledger.calls


async def test_a_write_that_the_store_refuses_to_take_is_held_and_replayed_when_it_is_back() -> None:
    world = World()
    world.store.down = refused
    answer = await world.writer.write(operation(payload={"a": 1}))
    assert isinstance(answer, Accepted)
    assert answer.job.state is State.QUEUED
    assert await world.record(NOTE) is None
    world.store.down = None
    assert await world.replayer.replay() == 1
    job = await world.jobs.get(answer.job.operation.id)
    assert job is not None
    assert job.state is State.SUCCEEDED
    record = await world.record(NOTE)
    assert record is not None
    assert (record.version, record.data) == (1, {"a": 1})


@pytest.mark.parametrize("fault", [lost, vanished, hung])
async def test_a_write_of_unknown_outcome_is_held_and_takes_effect_once(fault: Fault) -> None:
    world = World()
    await world.writer.write(operation(payload={"n": 0}))
    world.store.next("apply", fault)
    writing = asyncio.ensure_future(world.writer.write(operation(Kind.MERGE, payload={"a": 1})))
    while not writing.done():
        await pass_time(world, 0.25)
    answer = await writing
    assert isinstance(answer, Accepted)
    assert answer.job.unsure
    await world.replayer.replay()
    record = await world.record(NOTE)
    assert record is not None
    assert (record.version, record.data) == (2, {"n": 0, "a": 1})


async def test_a_live_write_never_overtakes_a_held_one() -> None:
    world = World()
    world.store.next("apply", refused)
    held = await world.writer.write(operation(payload={"n": 1}))
    behind = await world.writer.write(operation(payload={"n": 2}))
    assert isinstance(held, Accepted)
    assert isinstance(behind, Accepted)
    await world.replayer.replay()
    record = await world.record(NOTE)
    assert record is not None
    assert (record.version, record.data) == (2, {"n": 2})
    direct = await world.writer.write(operation(payload={"n": 3}))
    assert isinstance(direct, Applied)


async def test_a_definite_refusal_is_answered_and_not_held() -> None:
    world = World()
    for refusal, problem in (
        (operation(Kind.MERGE), ProblemType.NOT_FOUND),
        (operation(Kind.DELETE), ProblemType.NOT_FOUND),
        (operation(precondition=Precondition(match=(7,))), ProblemType.PRECONDITION_FAILED),
    ):
        answer = await world.writer.write(refusal)
        assert isinstance(answer, Refused)
        assert answer.problem.type is problem
    assert "hold" not in world.ledger.calls


async def test_a_refusal_found_at_replay_settles_the_job_with_the_same_problem() -> None:
    world = World()
    world.store.down = refused
    answer = await world.writer.write(operation(Kind.MERGE))
    assert isinstance(answer, Accepted)
    world.store.down = None
    await world.replayer.replay()
    job = await world.jobs.get(answer.job.operation.id)
    assert job is not None
    assert job.state is State.FAILED
    assert isinstance(job.outcome, Refused)
    assert job.outcome.problem.type is ProblemType.NOT_FOUND


async def test_a_repeat_of_a_held_write_gets_its_job_and_is_not_held_twice() -> None:
    world = World()
    world.store.down = refused
    first = operation(key="k")
    accepted = await world.writer.write(first)
    repeated = await world.peer().writer.write(again(first))
    assert isinstance(accepted, Accepted)
    assert isinstance(repeated, Accepted)
    assert repeated.job.operation == accepted.job.operation
    world.store.down = None
    assert await world.replayer.replay() == 1


async def test_a_repeat_while_the_first_is_being_tried_joins_that_try_and_another_request_is_told_at_once() -> None:
    world, going_on = World(), asyncio.Event()

    async def late(work: Callable[[], Awaitable[Any]]) -> Any:
        await going_on.wait()
        return await work()

    world.ledger.next("gate", late)
    request = operation(payload={"a": 1}, key="one")
    first = asyncio.create_task(world.writer.write(request))
    while not world.ledger.calls:
        await asyncio.sleep(0)
    repeat = asyncio.create_task(world.writer.write(again(request)))
    other = await world.writer.write(operation(payload={"a": 2}, key="one"))
    assert isinstance(other, Refused)
    assert other.problem.type is ProblemType.KEY_REUSED
    going_on.set()
    answer, repeated = await first, await repeat
    assert isinstance(answer, Applied)
    assert isinstance(repeated, Applied)
    assert (answer.replayed, repeated.replayed, repeated.record) == (False, True, answer.record)
    assert (world.ledger.calls, world.store.calls) == (["gate"], ["apply"])


async def test_a_repeat_gets_the_first_answer_marked_as_replayed_on_every_path() -> None:
    world = World()
    direct = operation(key="direct")
    await world.writer.write(direct)
    world.store.next("apply", refused)
    held = operation(key="held", resource="notes/2")
    await world.writer.write(held)
    await world.replayer.replay()
    for repeated in (again(direct), again(held)):
        answer = await world.writer.write(repeated)
        assert isinstance(answer, Applied)
        assert answer.replayed
        assert answer.record.version == 1


@pytest.mark.parametrize("fault", [None, refused])
async def test_a_key_used_for_another_request_is_refused_on_every_path(fault: Fault | None) -> None:
    world = World()
    world.store.down = fault
    await world.writer.write(operation(payload={"n": 1}, key="k"))
    answer = await world.writer.write(operation(payload={"n": 2}, key="k"))
    assert isinstance(answer, Refused)
    assert answer.problem.type is ProblemType.KEY_REUSED


async def test_requests_with_one_key_at_the_same_time_have_one_effect_and_one_answer() -> None:
    world = World()
    first = operation(Kind.MERGE, payload={"n": 1}, key="k")
    await world.writer.write(operation())
    answers = await asyncio.gather(*(world.writer.write(again(first)) for _ in range(10)))
    assert [answer.record.version for answer in answers if isinstance(answer, Applied)] == [2] * 10
    assert sum(not answer.replayed for answer in answers if isinstance(answer, Applied)) == 1


async def test_while_the_ledger_is_away_writes_go_straight_to_the_store() -> None:
    world = World()
    world.ledger.down = refused
    answers = [await world.writer.write(operation(resource=f"notes/{n}")) for n in range(10)]
    assert all(isinstance(answer, Applied) for answer in answers)


async def test_while_the_ledger_is_away_a_resource_with_a_known_backlog_is_refused() -> None:
    world = World()
    peer = world.peer()
    peer.store.down = refused
    await peer.writer.write(operation())
    await world.backlog.refresh()
    world.ledger.down = refused
    with pytest.raises(Unavailable, match="notes/1 has operations waiting"):
        await world.writer.write(operation())
    assert isinstance(await world.writer.write(operation(resource="notes/2")), Applied)


async def test_strict_ordering_refuses_every_write_while_the_ledger_is_away() -> None:
    world = World(write=WriteOptions(strict=True))
    world.ledger.down = refused
    with pytest.raises(Unavailable, match="strict"):
        await world.writer.write(operation())
    assert "apply" not in world.store.calls


async def test_a_held_write_that_an_ungated_one_has_passed_yields_and_says_so() -> None:
    world = World()
    unaware = world.peer()
    world.store.next("apply", refused)
    held = await world.writer.write(operation(payload={"n": 1}))
    unaware.ledger.down = refused
    passed = await unaware.writer.write(operation(payload={"n": 2}))
    assert isinstance(held, Accepted)
    assert isinstance(passed, Applied)
    await world.replayer.replay()
    record = await world.record(NOTE)
    job = await world.jobs.get(held.job.operation.id)
    assert record is not None
    assert job is not None
    assert record.data == {"n": 2}
    assert isinstance(job.outcome, Refused)
    assert job.outcome.problem.type is ProblemType.SUPERSEDED


async def test_with_store_and_ledger_away_the_write_is_refused_and_nothing_is_half_done() -> None:
    world = World()
    world.store.down = world.ledger.down = refused
    with pytest.raises(Unavailable):
        await world.writer.write(operation())
    world.store.down = world.ledger.down = None
    assert await world.replayer.replay() == 0
    assert await world.record(NOTE) is None


async def test_an_unknown_outcome_that_cannot_be_held_is_said_to_be_unknown() -> None:
    world = World()
    world.store.down, world.ledger.down = lost, refused
    with pytest.raises(OutcomeUnknown):
        await world.writer.write(operation())


async def test_a_hold_of_unknown_outcome_is_repeated_and_holds_once() -> None:
    world = World()
    world.store.next("apply", refused)
    world.ledger.next("hold", lost)
    assert isinstance(await world.writer.write(operation()), Accepted)
    assert await world.replayer.replay() == 1


async def test_a_hold_that_stays_unknown_is_never_accepted() -> None:
    world = World()
    world.store.next("apply", refused)
    world.ledger.next("hold", lost, vanished)
    with pytest.raises(OutcomeUnknown):
        await world.writer.write(operation())


async def test_a_bug_is_raised_to_those_who_met_it_and_never_held() -> None:
    world = World()
    world.store.next("apply", broken(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        await world.writer.write(operation())
    assert "hold" not in world.ledger.calls
    assert world.store_guard.closed


async def test_writes_of_the_same_moment_share_their_round_trips() -> None:
    world = World()
    await asyncio.gather(*(world.writer.write(operation(resource=f"notes/{n}")) for n in range(100)))
    assert world.ledger.calls == ["gate"]
    assert world.store.calls == ["apply"]


async def test_a_cancelled_caller_takes_nothing_with_it() -> None:
    world = World()
    writes = [
        asyncio.ensure_future(world.writer.write(operation(resource=f"notes/{n}", key=str(n)))) for n in range(10)
    ]
    await asyncio.sleep(0)
    writes[3].cancel()
    answers = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(answer, Applied) for answer in answers) == 9
    assert isinstance(await world.writer.write(operation(resource="notes/3", key="3")), Applied)


async def test_more_writes_than_may_wait_are_refused_at_once() -> None:
    world = World(write=WriteOptions(batches=BatchOptions(size=1, in_flight=1, queue=5)))
    answers = await asyncio.gather(
        *(world.writer.write(operation(resource=f"notes/{n}")) for n in range(20)), return_exceptions=True
    )
    assert sum(isinstance(answer, Applied) for answer in answers) == 5
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 15


async def test_a_write_that_has_waited_too_long_for_its_turn_is_held_rather_than_tried() -> None:
    world = World(write=WriteOptions(batches=BatchOptions(size=1, in_flight=1), patience=0.5))
    world.store.down = hung
    writes = [asyncio.ensure_future(world.writer.write(operation(resource=f"notes/{n}"))) for n in range(3)]
    waited = 0.0
    while not all(write.done() for write in writes):
        await pass_time(world, 0.25)
        waited += 0.25
    assert waited <= 1.5
    assert all(isinstance(write.result(), Accepted) for write in writes)
    assert world.store.calls == ["apply"]


async def test_once_the_breaker_is_open_writes_are_held_without_trying_and_a_probe_closes_it() -> None:
    world = World()
    world.store.down = refused
    for n in range(10):
        assert isinstance(await world.writer.write(operation(resource=f"notes/{n}")), Accepted)
    assert world.store.calls.count("apply") == 5
    world.store.down = None
    for _ in range(12):
        await pass_time(world, 0.25)
    assert isinstance(await world.writer.write(operation(resource="notes/new")), Applied)
    assert world.store.calls.count("apply") == 6


async def test_holding_at_once_tries_nothing_and_rings() -> None:
    world = World()
    answer = await world.writer.write(operation(), hold_at_once=True)
    assert isinstance(answer, Accepted)
    assert "apply" not in world.store.calls
    assert world.rung == [NOTE]


async def test_a_ledger_that_is_full_is_overload_and_holds_nothing() -> None:
    world = World()
    world.store.down = refused

    world.ledger.next("hold", broken(Overloaded("full", retry_after=9.0)))
    with pytest.raises(Overloaded) as refusal:
        await world.writer.write(operation())
    assert refusal.value.retry_after == 9.0


async def test_an_error_that_no_caller_waits_for_any_more_is_not_complained_of() -> None:
    world, complaints = World(), list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    gone = asyncio.Event()

    async def late(_work: Any) -> Any:
        await gone.wait()
        raise ValueError("a bug")

    world.store.next("apply", late)
    writing = asyncio.ensure_future(world.writer.write(operation(key="k")))
    await pass_time(world, 0)
    writing.cancel()
    await asyncio.wait([writing])
    gone.set()
    await world.writer.join()
    await pass_time(world, 0)
    del writing
    gc.collect()
    assert complaints == []
