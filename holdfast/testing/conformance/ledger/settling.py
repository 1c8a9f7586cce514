"""Settle: recorded and taken off in one step, and by nobody who comes too late."""

from __future__ import annotations

from dataclasses import replace

from holdfast.operations.model import Job, State
from holdfast.operations.ports import Dead, Settlement

from .support import (
    NOTE,
    OTHER,
    TTL,
    Subject,
    again,
    done,
    ids,
    on_resources,
    operation,
    operations,
    refused,
    resources,
)


class SettlingContract:
    async def test_what_took_effect_has_succeeded_and_what_was_refused_has_failed(self, subject: Subject) -> None:
        good, bad = operations(2)
        await subject.held(good, bad)
        lease = await subject.lease_one()
        subject.advance(2)
        assert await subject.settle(lease, done(good), refused(bad)) == 2
        for one, state, verdict in ((good, State.SUCCEEDED, done(good)), (bad, State.FAILED, refused(bad))):
            settled = replace(one, payload=None)
            assert await subject.job(one) == Job(settled, state, settled_at=subject.now(), outcome=verdict.outcome)

    async def test_an_emptied_mailbox_is_gone(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        await subject.settle(await subject.lease_one(), done(one), due_in=9.0)
        subject.advance(TTL)
        assert await subject.ledger.due(limit=10) == []
        assert (await subject.ledger.stats()).mailboxes == 0
        (gate,) = await subject.ledger.gate([operation()])
        assert not gate.waiting

    async def test_an_emptied_mailbox_may_fill_again_and_is_due_at_once(self, subject: Subject) -> None:
        first, second = operations(2)
        await subject.held(first)
        await subject.settle(await subject.lease_one(), done(first), due_in=9.0)
        await subject.held(second)
        assert ids((await subject.lease_one()).jobs) == [second.id]

    async def test_what_is_to_be_done_again_keeps_its_place(self, subject: Subject) -> None:
        held = operations(3)
        await subject.held(*held)
        lease = await subject.lease_one()
        assert await subject.settle(lease, *(again(one) for one in held)) == 0
        assert await subject.ledger.waiting([NOTE]) == [tuple(held)]
        assert [(await subject.job(one)).state for one in held] == [State.RETRYING] * 3

    async def test_a_mailbox_is_due_again_when_its_settlement_says(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        await subject.settle(await subject.lease_one(), again(one), due_in=2.5)
        assert (await subject.job(one)).next_attempt_at == subject.now() + 2.5
        subject.advance(2.499)
        assert await subject.lease() == []
        subject.advance(0.001)
        assert resources(await subject.lease()) == [NOTE]

    async def test_only_a_fault_of_its_own_counts_as_an_attempt(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        await subject.settle(await subject.lease_one(), again(one, "the store is away"))
        job = await subject.job(one)
        assert (job.attempts, job.last_error, job.unsure) == (0, "the store is away", False)
        await subject.settle(await subject.lease_one(), again(one, "a bug", counts=True))
        await subject.settle(await subject.lease_one(), again(one, "a bug", counts=True))
        await subject.settle(await subject.lease_one(), again(one))
        job = await subject.job(one)
        assert (job.attempts, job.last_error, job.unsure) == (2, "a bug", False)

    async def test_a_doubt_is_never_forgotten(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        await subject.settle(await subject.lease_one(), again(one, unsure=True))
        await subject.settle(await subject.lease_one(), again(one, unsure=False))
        assert (await subject.job(one)).unsure

    async def test_what_was_leased_and_not_settled_no_longer_runs(self, subject: Subject) -> None:
        first, second, third = operations(3)
        await subject.held(first, second, third)
        await subject.settle(await subject.lease_one(depth=2), again(first, "a bug", counts=True))
        jobs = [await subject.job(one) for one in (first, second, third)]
        assert [job.state for job in jobs] == [State.RETRYING, State.RETRYING, State.QUEUED]
        assert [job.attempts for job in jobs] == [1, 0, 0]

    async def test_a_dead_one_that_blocks_stays_and_nothing_behind_it_goes_on(self, subject: Subject) -> None:
        bad, behind = operations(2)
        await subject.held(bad, behind)
        assert await subject.settle(await subject.lease_one(), Dead(bad.id, "a bug", blocks=True)) == 1
        job = await subject.job(bad)
        assert (job.state, job.attempts, job.last_error) == (State.DEAD, 1, "a bug")
        assert (job.settled_at, job.next_attempt_at, job.operation) == (subject.now(), None, bad)
        assert (await subject.job(behind)).next_attempt_at is None
        subject.advance(10 * 86_400)
        assert await subject.ledger.due(limit=10) == []
        assert await subject.lease() == []
        assert await subject.ledger.lease(limit=10, depth=10, ttl=TTL, resources=[NOTE]) == []
        assert await subject.ledger.waiting([NOTE]) == [(behind,)]
        assert (await subject.ledger.stats()).mailboxes == 1

    async def test_a_dead_one_that_does_not_block_lets_the_next_one_pass(self, subject: Subject) -> None:
        bad, behind = operations(2)
        await subject.held(bad, behind)
        assert await subject.settle(await subject.lease_one(), Dead(bad.id, "a bug", blocks=False), done(behind)) == 2
        assert (await subject.job(bad)).state is State.DEAD
        assert (await subject.job(behind)).state is State.SUCCEEDED
        assert (await subject.ledger.stats()).mailboxes == 0

    async def test_a_dead_one_further_back_blocks_when_it_comes_to_be_the_head(self, subject: Subject) -> None:
        first, bad, behind = operations(3)
        await subject.held(first, bad, behind)
        await subject.settle(await subject.lease_one(), again(first), Dead(bad.id, "a bug", blocks=True))
        lease = await subject.lease_one()
        assert ids(lease.jobs) == [first.id]
        await subject.settle(lease, done(first))
        assert await subject.lease() == []
        assert await subject.ledger.waiting([NOTE]) == [(behind,)]

    async def test_verdicts_are_held_against_the_mailbox_from_its_head_on(self, subject: Subject) -> None:
        first, second, third = operations(3)
        await subject.held(first, second, third)
        lease = await subject.lease_one()
        assert await subject.settle(lease, again(first), done(second), again(third)) == 1
        assert await subject.ledger.waiting([NOTE]) == [(first, third)]
        assert (await subject.job(second)).state is State.SUCCEEDED

    async def test_a_verdict_for_another_than_the_one_found_ends_the_settlement(self, subject: Subject) -> None:
        first, second, third = operations(3)
        await subject.held(first, second, third)
        lease = await subject.lease_one()
        assert await subject.settle(lease, done(first), done(third), done(second)) == 1
        assert await subject.ledger.waiting([NOTE]) == [(second, third)]
        assert ids((await subject.lease_one()).jobs) == ids([second, third])

    async def test_a_settlement_that_is_repeated_settles_nothing_more(self, subject: Subject) -> None:
        held = operations(3)
        await subject.held(*held)
        lease = await subject.lease_one(depth=2)
        verdicts = [done(one) for one in held[:2]]
        assert await subject.settle(lease, *verdicts) == 2
        jobs = await subject.ledger.jobs(ids(held))
        assert await subject.settle(lease, *verdicts) == 0
        assert await subject.ledger.jobs(ids(held)) == jobs
        assert await subject.ledger.waiting([NOTE]) == [(held[2],)]

    async def test_a_late_holder_whose_work_was_done_by_another_changes_nothing(self, subject: Subject) -> None:
        first, second = operations(2)
        await subject.held(first, second)
        late = await subject.lease_one(depth=1)
        subject.advance(TTL)
        await subject.settle(await subject.lease_one(depth=1), done(first))
        jobs = await subject.ledger.jobs(ids([first, second]))
        assert await subject.settle(late, refused(first), due_in=99.0) == 0
        assert await subject.ledger.jobs(ids([first, second])) == jobs
        assert await subject.ledger.due(limit=10) == [NOTE]

    async def test_a_late_holders_faults_and_delays_do_not_count(self, subject: Subject) -> None:
        held = operations(2)
        await subject.held(*held)
        late = await subject.lease_one()
        subject.advance(TTL)
        current = await subject.lease_one()
        jobs = await subject.ledger.jobs(ids(held))
        assert await subject.settle(late, again(held[0], "late", counts=True), done(held[1]), due_in=99.0) == 0
        assert await subject.settle(late, Dead(held[0].id, "late", blocks=False)) == 0
        assert await subject.ledger.jobs(ids(held)) == jobs
        assert await subject.lease() == []
        assert await subject.settle(current, *map(done, held)) == 2

    async def test_that_it_is_done_is_a_fact_even_from_a_late_holder(self, subject: Subject) -> None:
        """Else a store slower than the lease would never be seen to finish anything."""
        held = operations(2)
        await subject.held(*held)
        late = await subject.lease_one()
        subject.advance(TTL)
        current = await subject.lease_one()
        assert await subject.settle(late, done(held[0])) == 1
        assert (await subject.job(held[0])).state is State.SUCCEEDED
        assert await subject.lease() == []
        assert await subject.settle(current, *map(done, held)) == 0
        assert ids((await subject.lease_one()).jobs) == [held[1].id]

    async def test_settlements_of_one_mailbox_in_one_step_follow_each_other(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        late = await subject.lease_one()
        subject.advance(TTL)
        current = await subject.lease_one()
        steps = [Settlement(current, (again(one),)), Settlement(late, (done(one),))]
        assert await subject.ledger.settle(steps) == [0, 1]
        for state in State:
            found, _ = await subject.ledger.list_jobs(state=state, cursor=None, limit=10)
            assert ids(found) == ([one.id] if state is State.SUCCEEDED else [])
        assert (await subject.ledger.stats()).waiting == 0

    async def test_a_lease_ends_with_its_mailbox(self, subject: Subject) -> None:
        one, later = operations(2)
        await subject.held(one)
        late = await subject.lease_one()
        subject.advance(TTL)
        current = await subject.lease_one()
        await subject.settle(late, done(one))
        await subject.held(later)
        await subject.settle(current, done(one), due_in=500.0)
        assert ids((await subject.lease_one()).jobs) == [later.id]

    async def test_the_end_of_a_lease_touches_only_what_ran(self, subject: Subject) -> None:
        first, second = operations(2)
        await subject.held(first, second)
        late = await subject.lease_one(depth=1)
        subject.advance(TTL)
        current = await subject.lease_one(depth=1)
        await subject.settle(late, done(first))
        await subject.settle(current, done(first))
        assert (await subject.job(second)).state is State.QUEUED

    async def test_a_dead_one_is_nobodys_to_settle(self, subject: Subject) -> None:
        one, behind = operations(2)
        await subject.held(one, behind)
        late = await subject.lease_one()
        subject.advance(TTL)
        await subject.settle(await subject.lease_one(), Dead(one.id, "a bug", blocks=True))
        assert await subject.settle(late, done(one), done(behind)) == 0
        assert (await subject.job(one)).state is State.DEAD
        assert await subject.ledger.waiting([NOTE]) == [(behind,)]

    async def test_a_lease_ends_once(self, subject: Subject) -> None:
        first, second = operations(2)
        await subject.held(first, second)
        lease = await subject.lease_one()
        steps = [Settlement(lease, (done(first),), 5.0), Settlement(lease, (again(second),), 500.0)]
        assert await subject.ledger.settle(steps) == [1, 0]
        job = await subject.job(second)
        assert (job.state, job.next_attempt_at) == (State.RETRYING, subject.now() + 5.0)

    async def test_a_lease_that_ran_out_is_still_its_holders_while_there_is_no_other(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        lease = await subject.lease_one()
        subject.advance(TTL + 1)
        await subject.settle(lease, again(one, "slow"), due_in=7.0)
        assert (await subject.job(one)).next_attempt_at == subject.now() + 7.0

    async def test_settlements_of_one_step_do_not_hinder_each_other(self, subject: Subject) -> None:
        held = on_resources(3)
        await subject.held(*held)
        leases = await subject.lease()
        settlements = [
            Settlement(leases[0], (done(held[0]),)),
            Settlement(leases[1], (done(operation(OTHER)),)),
            Settlement(leases[2], (refused(held[2]),)),
        ]
        assert await subject.ledger.settle(settlements) == [1, 0, 1]
        states = [(await subject.job(one)).state for one in held]
        assert states == [State.SUCCEEDED, State.RETRYING, State.FAILED]

    async def test_a_settlement_without_verdicts_gives_the_lease_back(self, subject: Subject) -> None:
        await subject.held(operation())
        await subject.settle(await subject.lease_one())
        assert resources(await subject.lease()) == [NOTE]

    async def test_states_only_move_forward(self, subject: Subject) -> None:
        one, behind = operations(2)
        await subject.held(one, behind)
        seen = [(await subject.job(behind)).state]
        for verdicts in ([again(one, "away")], [again(one), again(behind)], [done(one)], [done(behind)]):
            lease = await subject.lease_one()
            seen.append((await subject.job(behind)).state)
            await subject.settle(lease, *verdicts)
            seen.append((await subject.job(behind)).state)
        running, retrying = State.RUNNING, State.RETRYING
        assert seen == [State.QUEUED, *[running, retrying] * 3, running, State.SUCCEEDED]
