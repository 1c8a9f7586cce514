"""Lease and due: one holder at a time, longest due first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from holdfast.operations.model import Resource, State
from holdfast.operations.ports import Lease

from .support import NOTE, OTHER, TTL, Subject, again, done, ids, on_resources, operation, operations, resources


class LeasingContract:
    async def test_a_lease_has_the_oldest_operations_and_says_that_they_run(self, subject: Subject) -> None:
        held = operations(5)
        await subject.held(*held)
        lease = await subject.lease_one(depth=3)
        assert lease.resource == NOTE
        assert ids(lease.jobs) == ids(held[:3])
        assert [job.state for job in lease.jobs] == [State.RUNNING] * 3
        states = [(await subject.job(one)).state for one in held]
        assert states == [State.RUNNING] * 3 + [State.QUEUED] * 2

    async def test_what_is_longest_due_comes_first(self, subject: Subject) -> None:
        held = on_resources(4)
        for one in reversed(held):
            await subject.held(one)
            subject.advance(1)
        wanted = [one.resource for one in reversed(held)]
        assert await subject.ledger.due(limit=100) == wanted
        assert await subject.ledger.due(limit=2) == wanted[:2]
        assert resources(await subject.lease(limit=3)) == wanted[:3]

    async def test_the_limit_counts_operations_of_all_mailboxes(self, subject: Subject) -> None:
        for resource in (NOTE, OTHER):
            await subject.held(*operations(4, resource))
            subject.advance(1)
        leases = await subject.lease(limit=5, depth=3)
        assert [(lease.resource, len(lease.jobs)) for lease in leases] == [(NOTE, 3), (OTHER, 2)]

    async def test_however_much_operations_weigh_each_comes_in_its_turn(self, subject: Subject) -> None:
        weights = (6_000_000, 1_000_000, 5_000_000, 10, 3_000_000, 3_000_000)
        held = [operation(payload={"data": "x" * weight}) for weight in weights]
        await subject.held(*held)
        came: list[str] = []
        while leases := await subject.lease():
            (lease,) = leases
            assert lease.jobs, "a lease has an operation, be it heavier than all that is taken at once"
            came += ids(lease.jobs)
            await subject.settle(lease, *(done(job.operation) for job in lease.jobs))
        assert came == ids(held)

    async def test_a_leased_mailbox_is_nobody_elses_until_the_lease_runs_out(self, subject: Subject) -> None:
        await subject.held(operation())
        first = await subject.lease_one(ttl=TTL)
        subject.advance(TTL - 0.001)
        assert await subject.lease() == []
        assert await subject.ledger.due(limit=10) == []
        subject.advance(0.001)
        second = await subject.lease_one()
        assert ids(second.jobs) == ids(first.jobs)
        assert second.token != first.token

    async def test_what_a_lost_holder_had_may_have_been_applied(self, subject: Subject) -> None:
        held = operations(3)
        await subject.held(*held)
        await subject.lease_one(depth=2)
        subject.advance(TTL)
        lease = await subject.lease_one(depth=1)
        assert [job.unsure for job in lease.jobs] == [True]
        jobs = [await subject.job(one) for one in held]
        assert [job.unsure for job in jobs] == [True, True, False]
        assert [job.state for job in jobs] == [State.RUNNING, State.RETRYING, State.QUEUED]

    async def test_an_operation_held_while_its_mailbox_is_leased_waits_for_the_next_lease(
        self, subject: Subject
    ) -> None:
        first, second = operations(2)
        await subject.held(first)
        lease = await subject.lease_one()
        await subject.held(second)
        assert await subject.lease() == []
        await subject.settle(lease, done(first))
        assert ids((await subject.lease_one()).jobs) == [second.id]

    async def test_named_mailboxes_are_leased_if_they_are_due(self, subject: Subject) -> None:
        held = on_resources(4)
        await subject.held(*held)
        names = [one.resource for one in held]
        wanted = [names[2], Resource("no", "where"), names[0], names[2]]
        leases = await subject.ledger.lease(limit=100, depth=10, ttl=TTL, resources=wanted)
        assert resources(leases) == [names[2], names[0]]
        assert await subject.ledger.lease(limit=100, depth=10, ttl=TTL, resources=wanted) == []
        assert resources(await subject.lease()) == [names[1], names[3]]

    async def test_many_mailboxes_are_leased_once_each_and_in_order_however_many_leases_it_takes(
        self, subject: Subject
    ) -> None:
        names = [one.resource for one in on_resources(90)]
        for name in names:
            await subject.held(operation(name))
            subject.advance(1)
        wanted = names[:5] + names[40:85]
        by_name = [lease async for lease in leases_until_none(subject, limit=50, named=wanted)]
        others = [lease async for lease in leases_until_none(subject, limit=50)]
        assert resources(by_name) == wanted
        assert resources(others) == [name for name in names if name not in wanted]

    async def test_no_name_means_no_lease(self, subject: Subject) -> None:
        await subject.held(operation())
        assert await subject.ledger.lease(limit=100, depth=10, ttl=TTL, resources=[]) == []

    async def test_the_limit_holds_for_named_mailboxes(self, subject: Subject) -> None:
        held = on_resources(4)
        await subject.held(*held)
        names = [one.resource for one in held]
        leases = await subject.ledger.lease(limit=2, depth=10, ttl=TTL, resources=names)
        assert resources(leases) == names[:2]

    async def test_where_nothing_is_held_nothing_is_due(self, subject: Subject) -> None:
        assert await subject.ledger.due(limit=10) == []
        assert await subject.lease() == []

    async def test_three_days_of_failed_attempts_later_the_operation_is_still_there(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        for _ in range(72):
            await subject.settle(await subject.lease_one(), again(one, "the store is away"), due_in=5.0)
            subject.advance(3600)
        (job,) = (await subject.lease_one()).jobs
        assert (job.operation, job.attempts, job.last_error) == (one, 0, "the store is away")


async def leases_until_none(
    subject: Subject, *, limit: int, named: Sequence[Resource] | None = None
) -> AsyncIterator[Lease]:
    while leases := await subject.ledger.lease(limit=limit, depth=10, ttl=TTL, resources=named):
        for lease in leases:
            yield lease
