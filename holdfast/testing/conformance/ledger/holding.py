"""Gate and hold: what was answered is kept, once, in order."""

from __future__ import annotations

from dataclasses import replace

from holdfast.errors import Overloaded
from holdfast.operations.model import Job, Kind, Origin, Precondition, Resource, State
from holdfast.operations.ports import Gate, Hold

from .support import CAPACITY, NOTE, OTHER, Subject, again, done, ids, on_resources, operation, operations, raised

THREE_DAYS = 3 * 86_400.0


class HoldingContract:
    async def test_an_operation_on_an_idle_resource_passes_the_gate(self, subject: Subject) -> None:
        assert await subject.ledger.gate([operation(), operation(keyed=True)]) == [Gate(None, False)] * 2

    async def test_the_gate_sees_what_waits_for_the_resource(self, subject: Subject) -> None:
        await subject.held(operation(NOTE))
        gates = await subject.ledger.gate([operation(OTHER), operation(NOTE), operation(OTHER)])
        assert [gate.waiting for gate in gates] == [False, True, False]

    async def test_the_gate_finds_a_keyed_operation_that_is_held_already(self, subject: Subject) -> None:
        keyed = operation(keyed=True)
        (job,) = await subject.held(keyed)
        assert await subject.ledger.gate([operation(OTHER), keyed]) == [Gate(None, False), Gate(job, True)]

    async def test_the_gate_finds_a_keyed_operation_that_is_settled(self, subject: Subject) -> None:
        keyed = operation(keyed=True)
        await subject.held(keyed)
        await subject.settle(await subject.lease_one(), done(keyed))
        (gate,) = await subject.ledger.gate([keyed])
        assert gate == Gate(await subject.job(keyed), False)
        assert gate.job is not None
        assert gate.job.outcome == done(keyed).outcome

    async def test_the_gate_does_not_look_up_an_id_that_is_new_by_nature(self, subject: Subject) -> None:
        unkeyed = operation()
        await subject.held(unkeyed)
        assert await subject.ledger.gate([unkeyed]) == [Gate(None, True)]

    async def test_the_gate_sees_a_blocked_mailbox(self, subject: Subject) -> None:
        await subject.kill(operation(NOTE), blocks=True)
        (gate,) = await subject.ledger.gate([operation(NOTE)])
        assert gate.waiting

    async def test_a_held_operation_is_queued_and_due_now(self, subject: Subject) -> None:
        one = operation()
        (job,) = await subject.held(one)
        assert job == Job(one, State.QUEUED, next_attempt_at=subject.now())
        assert await subject.job(one) == job
        assert await subject.ledger.due(limit=10) == [NOTE]

    async def test_operations_are_held_in_the_order_given(self, subject: Subject) -> None:
        first, second, third = operations(3)
        await subject.held(first, second)
        await subject.held(third)
        assert await subject.ledger.waiting([NOTE]) == [(first, second, third)]

    async def test_holding_again_changes_nothing(self, subject: Subject) -> None:
        first, second = operations(2)
        await subject.held(first, second)
        assert ids(await subject.held(second, first, second)) == ids([second, first, second])
        assert await subject.ledger.waiting([NOTE]) == [(first, second)]

    async def test_an_operation_twice_in_a_batch_is_held_once(self, subject: Subject) -> None:
        one = operation()
        assert ids(await subject.held(one, one)) == [one.id, one.id]
        assert await subject.ledger.waiting([NOTE]) == [(one,)]

    async def test_holding_a_settled_operation_again_answers_its_job_and_holds_nothing(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        await subject.settle(await subject.lease_one(), done(one))
        job = await subject.job(one)
        assert await subject.held(one) == [job]
        assert await subject.ledger.hold([Hold(one, unsure=True)]) == [job]
        assert await subject.job(one) == job
        assert await subject.ledger.waiting([NOTE]) == [()]

    async def test_an_operation_comes_back_exactly_as_it_was_held(self, subject: Subject) -> None:
        odd = [
            operation(payload={}),
            operation(payload={"": None, "a.b": {"$set": [1, -2.5, 1e300, 2**70, True, "\x00é漢🎉"]}}),
            operation(kind=Kind.DELETE),
            operation(Resource("täglich", "a/b c:*?[x]/漢")),
            replace(operation(keyed=True), precondition=Precondition(match=(1, 2))),
            replace(operation(), precondition=Precondition(match="*", none_match=(7,)), origin=Origin.UNGATED),
            replace(operation(), precondition=Precondition(none_match="*"), principal="o'brien\n"),
            replace(operation(), traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ]
        await subject.held(*odd)
        assert [(await subject.job(one)).operation for one in odd] == odd
        leased = {job.operation.id: job.operation for lease in await subject.lease() for job in lease.jobs}
        assert [leased[one.id] for one in odd] == odd

    async def test_who_comes_later_does_not_hasten_the_head(self, subject: Subject) -> None:
        first, second = operations(2)
        await subject.held(first)
        await subject.settle(await subject.lease_one(), again(first), due_in=60.0)
        (job,) = await subject.held(second)
        assert job.next_attempt_at == subject.now() + 60.0
        assert await subject.ledger.due(limit=10) == []

    async def test_a_held_operation_has_no_time_to_live(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        for _ in range(3):
            subject.advance(THREE_DAYS / 3)
            await subject.ledger.prune(limit=100)
        assert (await subject.lease_one()).jobs[0].operation == one

    async def test_an_operation_that_may_have_been_applied_is_marked_unsure(self, subject: Subject) -> None:
        one = operation()
        (job,) = await subject.ledger.hold([Hold(one, unsure=True)])
        assert job.unsure
        assert await subject.job(one) == job

    async def test_a_doubt_that_comes_after_the_hold_is_kept(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        await subject.ledger.hold([Hold(one, unsure=True)])
        await subject.held(one)
        assert (await subject.job(one)).unsure

    async def test_a_batch_that_does_not_fit_is_refused_whole(self, subject: Subject) -> None:
        kept = on_resources(CAPACITY - 1)
        await subject.held(*kept)
        error = await raised(Overloaded, subject.held(*operations(2)))
        assert error.retry_after > 0
        assert await subject.ledger.waiting([NOTE]) == [()]
        assert (await subject.ledger.stats()).waiting == CAPACITY - 1

    async def test_a_full_ledger_still_knows_what_it_holds(self, subject: Subject) -> None:
        kept = on_resources(CAPACITY)
        await subject.held(*kept)
        assert ids(await subject.held(*kept)) == ids(kept)
        assert len(await subject.held(kept[0], kept[0])) == 2

    async def test_an_operation_twice_in_a_batch_takes_the_room_of_one(self, subject: Subject) -> None:
        one = operation()
        await subject.held(*on_resources(CAPACITY - 1))
        assert ids(await subject.held(one, one)) == [one.id, one.id]

    async def test_settling_makes_room(self, subject: Subject) -> None:
        kept = on_resources(CAPACITY)
        await subject.held(*kept)
        await raised(Overloaded, subject.held(operation()))
        await subject.settle((await subject.lease())[0], done(kept[0]))
        assert len(await subject.held(operation())) == 1

    async def test_dead_operations_take_room_too(self, subject: Subject) -> None:
        await subject.kill(*operations(CAPACITY), blocks=False)
        await raised(Overloaded, subject.held(operation()))
