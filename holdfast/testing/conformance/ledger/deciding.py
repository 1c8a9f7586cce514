"""What people decide: cancel and retry."""

from __future__ import annotations

from dataclasses import replace

from holdfast.operations.model import Job, State
from holdfast.operations.ports import Cancelled, Dead, Hold

from .support import NOTE, RETENTION, TTL, Subject, again, done, ids, operation, operations, resources


class DecidingContract:
    async def test_an_operation_that_waits_can_be_cancelled(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        cancelled = await subject.ledger.cancel(one.id)
        job = Job(replace(one, payload=None), State.CANCELLED, settled_at=subject.now())
        assert cancelled == Cancelled(job, done=True)
        assert await subject.job(one) == job
        assert (await subject.ledger.stats()).mailboxes == 0
        assert await subject.lease() == []

    async def test_cancelling_twice_is_cancelling_once(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        first = await subject.ledger.cancel(one.id)
        subject.advance(1)
        assert await subject.ledger.cancel(one.id) == first

    async def test_the_others_of_its_mailbox_keep_their_order(self, subject: Subject) -> None:
        held = operations(4)
        await subject.held(*held)
        await subject.ledger.cancel(held[2].id)
        await subject.ledger.cancel(held[0].id)
        assert ids((await subject.lease_one()).jobs) == ids([held[1], held[3]])

    async def test_a_running_operation_cannot_be_cancelled(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        lease = await subject.lease_one()
        assert await subject.ledger.cancel(one.id) == Cancelled(await subject.job(one), done=False)
        subject.advance(TTL)
        assert not (await subject.ledger.cancel(one.id)).done
        assert await subject.settle(lease, done(one)) == 1

    async def test_one_that_was_surely_not_applied_can_be_cancelled_after_its_try(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        await subject.settle(await subject.lease_one(), again(one))
        assert (await subject.ledger.cancel(one.id)).done

    async def test_one_that_may_have_been_applied_cannot_be_cancelled(self, subject: Subject) -> None:
        held, tried = operations(2)
        await subject.ledger.hold([Hold(held, unsure=True), Hold(tried)])
        await subject.settle(await subject.lease_one(), again(held), again(tried, unsure=True))
        assert not (await subject.ledger.cancel(held.id)).done
        assert not (await subject.ledger.cancel(tried.id)).done
        assert await subject.ledger.waiting([NOTE]) == [(held, tried)]

    async def test_what_the_store_will_never_apply_can_be_cancelled_though_it_was_tried(self, subject: Subject) -> None:
        unsure, running = operations(2)
        await subject.ledger.hold([Hold(unsure, unsure=True), Hold(running)])
        await subject.settle(await subject.lease_one(), again(unsure), again(running))
        assert (await subject.ledger.cancel(unsure.id, withdrawn=True)).done
        await subject.lease_one()
        assert not (await subject.ledger.cancel(running.id, withdrawn=True)).done

    async def test_a_settled_operation_cannot_be_cancelled(self, subject: Subject) -> None:
        good, bad = operations(2)
        await subject.held(good, bad)
        await subject.settle(await subject.lease_one(), done(good), Dead(bad.id, "a bug", blocks=True))
        for one in (good, bad):
            assert await subject.ledger.cancel(one.id) == Cancelled(await subject.job(one), done=False)

    async def test_there_is_nothing_to_cancel_where_there_is_no_job(self, subject: Subject) -> None:
        assert await subject.ledger.cancel(operation().id) == Cancelled(None, done=False)

    async def test_who_follows_a_cancelled_head_does_not_wait_for_its_delay(self, subject: Subject) -> None:
        slow, next_one = operations(2)
        await subject.held(slow, next_one)
        await subject.settle(await subject.lease_one(), again(slow), due_in=300.0)
        await subject.ledger.cancel(slow.id)
        assert ids((await subject.lease_one()).jobs) == [next_one.id]

    async def test_cancelling_behind_a_delayed_head_does_not_hasten_it(self, subject: Subject) -> None:
        head, behind = operations(2)
        await subject.held(head, behind)
        await subject.settle(await subject.lease_one(), again(head), due_in=300.0)
        await subject.ledger.cancel(behind.id)
        assert await subject.lease() == []

    async def test_cancelling_the_head_before_a_dead_one_leaves_the_mailbox_blocked(self, subject: Subject) -> None:
        head, bad = operations(2)
        await subject.held(head, bad)
        await subject.settle(await subject.lease_one(), again(head), Dead(bad.id, "a bug", blocks=True))
        await subject.ledger.cancel(head.id)
        assert await subject.lease() == []
        assert (await subject.ledger.stats()).mailboxes == 1

    async def test_a_dead_one_that_blocks_is_tried_again_in_its_place(self, subject: Subject) -> None:
        bad, behind = operations(2)
        await subject.held(bad, behind)
        await subject.settle(await subject.lease_one(), Dead(bad.id, "a bug", blocks=True))
        subject.advance(60)
        job = await subject.ledger.retry(bad.id)
        assert job == Job(bad, State.RETRYING, next_attempt_at=subject.now(), last_error="a bug")
        assert ids((await subject.lease_one()).jobs) == ids([bad, behind])

    async def test_a_dead_one_that_was_passed_goes_to_the_end_of_the_mailbox(self, subject: Subject) -> None:
        bad, behind = operations(2)
        await subject.held(bad, behind)
        await subject.settle(await subject.lease_one(), Dead(bad.id, "a bug", blocks=False), again(behind))
        assert await subject.ledger.retry(bad.id) == await subject.job(bad)
        assert await subject.ledger.waiting([NOTE]) == [(behind, bad)]

    async def test_a_passed_one_comes_back_to_an_empty_mailbox_too(self, subject: Subject) -> None:
        bad = operation()
        await subject.kill(bad, blocks=False)
        await subject.ledger.retry(bad.id)
        assert resources(await subject.lease()) == [NOTE]
        assert (await subject.ledger.stats()).dead == 0

    async def test_a_dead_one_behind_a_delayed_head_does_not_hasten_it(self, subject: Subject) -> None:
        head, bad = operations(2)
        await subject.held(head, bad)
        verdicts = (again(head), Dead(bad.id, "a bug", blocks=True))
        await subject.settle(await subject.lease_one(), *verdicts, due_in=300.0)
        await subject.ledger.retry(bad.id)
        assert await subject.lease() == []
        subject.advance(300)
        assert ids((await subject.lease_one()).jobs) == ids([head, bad])

    async def test_a_retried_operation_can_die_again_and_be_retried_again(self, subject: Subject) -> None:
        for blocks in (True, False):
            bad = operation()
            await subject.kill(bad, blocks=blocks)
            await subject.ledger.retry(bad.id)
            await subject.settle(await subject.lease_one(), Dead(bad.id, "a bug", blocks=not blocks))
            assert (await subject.job(bad)).attempts == 1
            await subject.ledger.retry(bad.id)
            assert await subject.settle(await subject.lease_one(), done(bad)) == 1
            assert (await subject.job(bad)).state is State.SUCCEEDED

    async def test_retrying_what_is_not_dead_changes_nothing(self, subject: Subject) -> None:
        good, waits = operations(2)
        await subject.held(good, waits)
        await subject.settle(await subject.lease_one(depth=1), done(good), due_in=5.0)
        for one in (good, waits):
            job = await subject.job(one)
            assert await subject.ledger.retry(one.id) == job
        assert await subject.lease() == []

    async def test_there_is_nothing_to_retry_where_there_is_no_job(self, subject: Subject) -> None:
        assert await subject.ledger.retry(operation().id) is None

    async def test_a_retried_operation_that_succeeds_is_forgotten_like_the_others(self, subject: Subject) -> None:
        bad = operation()
        await subject.kill(bad, blocks=True)
        await subject.ledger.retry(bad.id)
        await subject.settle(await subject.lease_one(), done(bad))
        subject.advance(RETENTION)
        assert await subject.ledger.prune(limit=10) == 1
