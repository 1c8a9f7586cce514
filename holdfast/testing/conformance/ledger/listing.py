"""What clients and operators see: jobs, lists, the backlog, statistics; and what is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdfast.operations.model import Job, Resource, State
from holdfast.operations.ports import Backlog, Dead, LedgerStats

from .support import (
    NOTE,
    OTHER,
    RETENTION,
    Subject,
    again,
    done,
    ids,
    on_resources,
    operation,
    operations,
    raised,
    refused,
)


async def pages(subject: Subject, state: State | None, limit: int) -> AsyncIterator[list[Job]]:
    cursor: str | None = None
    while True:
        page, cursor = await subject.ledger.list_jobs(state=state, cursor=cursor, limit=limit)
        assert len(page) <= limit
        yield page
        if cursor is None:
            return


async def listed(subject: Subject, state: State | None, limit: int = 3) -> list[str]:
    return [id_ async for page in pages(subject, state, limit) for id_ in ids(page)]


class ListingContract:
    async def test_jobs_come_in_the_order_asked_and_none_for_what_is_not_known(self, subject: Subject) -> None:
        first, second = operations(2)
        await subject.held(first, second)
        found = await subject.ledger.jobs([second.id, operation().id, first.id])
        assert [job and job.operation for job in found] == [second, None, first]

    async def test_a_list_has_every_job_once_whatever_its_state(self, subject: Subject) -> None:
        held = on_resources(10)
        await subject.held(*held)
        leases = await subject.lease(limit=4)
        await subject.settle(leases[0], done(held[0]))
        await subject.settle(leases[1], refused(held[1]))
        await subject.settle(leases[2], again(held[2]))
        await subject.ledger.cancel(held[9].id)
        assert sorted(await listed(subject, None)) == ids(held)
        assert await listed(subject, None) == await listed(subject, None, limit=100)

    async def test_a_list_of_one_state_has_the_jobs_in_that_state(self, subject: Subject) -> None:
        held = on_resources(9)
        await subject.held(*held)
        leases = await subject.lease(limit=6)
        await subject.settle(leases[0], done(held[0]))
        await subject.settle(leases[1], refused(held[1]))
        await subject.settle(leases[2], again(held[2]))
        await subject.settle(leases[3], done(held[3]))
        await subject.ledger.cancel(held[8].id)
        expected = {
            State.SUCCEEDED: [0, 3],
            State.FAILED: [1],
            State.RETRYING: [2],
            State.RUNNING: [4, 5],
            State.QUEUED: [6, 7],
            State.CANCELLED: [8],
            State.DEAD: [],
        }
        for state, numbers in expected.items():
            assert await listed(subject, state) == [held[n].id for n in numbers], state

    async def test_who_does_not_change_is_listed_once_while_others_are_settled(self, subject: Subject) -> None:
        held = on_resources(40)
        await subject.held(*held)
        leases = await subject.lease(limit=20)
        seen: list[str] = []
        async for page in pages(subject, State.QUEUED, 3):
            seen += ids(page)
            if leases:
                lease = leases.pop()
                await subject.settle(lease, done(lease.jobs[0].operation))
                await subject.held(operation(Resource("new", str(len(seen)))))
        assert [id_ for id_ in seen if id_ in ids(held)] == ids(held[20:])
        assert len(seen) == len(set(seen))

    async def test_a_job_that_moves_between_waiting_states_is_in_the_whole_list_once(self, subject: Subject) -> None:
        held = on_resources(12)
        await subject.held(*held)
        seen: list[str] = []
        async for page in pages(subject, None, 2):
            seen += ids(page)
            for lease in await subject.lease(limit=3, ttl=1.0):
                await subject.settle(lease, again(lease.jobs[0].operation))
            subject.advance(1)
        assert seen == ids(held)

    async def test_a_cursor_that_is_none_of_ours_is_an_error(self, subject: Subject) -> None:
        for cursor in ("", "x", "-1", "1.5", "٣", "+inf"):
            await raised(ValueError, subject.ledger.list_jobs(state=None, cursor=cursor, limit=1))

    async def test_the_youngest_that_waits_is_known(self, subject: Subject) -> None:
        first, second = operations(2)
        await subject.held(first, second, operation(OTHER))
        assert await subject.ledger.last_waiting([Resource("no", "where"), NOTE]) == [None, second.id]
        await subject.settle(await subject.lease_of(NOTE), done(first), done(second))
        assert await subject.ledger.last_waiting([NOTE]) == [None]

    async def test_a_dead_one_does_not_wait(self, subject: Subject) -> None:
        await subject.kill(operation(), blocks=True)
        assert await subject.ledger.last_waiting([NOTE]) == [None]
        behind = operation()
        await subject.held(behind)
        assert await subject.ledger.last_waiting([NOTE]) == [behind.id]
        assert await subject.ledger.waiting([NOTE]) == [(behind,)]

    async def test_a_dead_one_at_the_end_does_not_hide_who_waits_before_it(self, subject: Subject) -> None:
        first, bad = operations(2)
        await subject.held(first, bad)
        await subject.settle(await subject.lease_one(), again(first), Dead(bad.id, "a bug", blocks=True))
        assert await subject.ledger.last_waiting([NOTE]) == [first.id]

    async def test_the_backlog_tells_what_has_filled_since(self, subject: Subject) -> None:
        assert await subject.ledger.backlog(cursor=0) == Backlog([], 0, 0)
        await subject.held(operation(NOTE), operation(NOTE))
        first = await subject.ledger.backlog(cursor=0)
        assert (first.entered, first.size) == ([NOTE], 1)
        await subject.held(operation(NOTE), operation(OTHER))
        second = await subject.ledger.backlog(cursor=first.cursor)
        assert (second.entered, second.size) == ([OTHER], 2)
        third = await subject.ledger.backlog(cursor=second.cursor)
        assert third == Backlog([], second.cursor, 2)
        assert sorted((await subject.ledger.backlog(cursor=0)).entered) == [NOTE, OTHER]

    async def test_a_mailbox_that_empties_leaves_the_backlog_and_one_that_fills_again_enters_it(
        self, subject: Subject
    ) -> None:
        one = operation()
        await subject.held(one)
        cursor = (await subject.ledger.backlog(cursor=0)).cursor
        await subject.settle(await subject.lease_one(), done(one))
        empty = await subject.ledger.backlog(cursor=0)
        assert (empty.entered, empty.size) == ([], 0)
        await subject.held(operation())
        assert (await subject.ledger.backlog(cursor=cursor)).entered == [NOTE]

    async def test_a_blocked_mailbox_is_in_the_backlog(self, subject: Subject) -> None:
        await subject.kill(operation(), blocks=True)
        assert (await subject.ledger.backlog(cursor=0)).entered == [NOTE]

    async def test_the_statistics_add_up(self, subject: Subject) -> None:
        assert await subject.ledger.stats() == LedgerStats(waiting=0, dead=0, mailboxes=0, oldest=None)
        await subject.kill(operation(), blocks=True)
        await subject.kill(operation(OTHER), blocks=False)
        held = on_resources(6)
        await subject.held(*held)
        leases = await subject.lease(limit=3)
        await subject.settle(leases[0], done(held[0]))
        await subject.settle(leases[1], again(held[1]))
        stats = await subject.ledger.stats()
        expected = LedgerStats(waiting=5, dead=2, mailboxes=6, oldest=held[1].accepted_at, tally=stats.tally)
        assert stats == expected

    async def test_settled_jobs_are_forgotten_after_the_retention_and_not_before(self, subject: Subject) -> None:
        early, late, cancelled = held = on_resources(3)
        await subject.held(*held)
        first, second = await subject.lease(limit=2)
        await subject.settle(first, done(early))
        subject.advance(10)
        await subject.settle(second, refused(late))
        await subject.ledger.cancel(cancelled.id)
        subject.advance(RETENTION - 10.001)
        assert await subject.ledger.prune(limit=10) == 0
        subject.advance(0.001)
        assert await subject.ledger.prune(limit=10) == 1
        assert await subject.ledger.jobs([early.id]) == [None]
        assert await listed(subject, None) == ids([late, cancelled])
        subject.advance(10)
        assert await subject.ledger.prune(limit=10) == 2
        assert await listed(subject, None) == []

    async def test_pruning_forgets_no_more_than_asked(self, subject: Subject) -> None:
        held = on_resources(5)
        await subject.held(*held)
        for lease in await subject.lease():
            await subject.settle(lease, done(lease.jobs[0].operation))
        subject.advance(RETENTION)
        assert await subject.ledger.prune(limit=3) == 3
        assert await subject.ledger.prune(limit=3) == 2
        assert await subject.ledger.prune(limit=3) == 0
        assert await listed(subject, None) == []

    async def test_dead_jobs_are_never_forgotten(self, subject: Subject) -> None:
        dead = operations(2)
        await subject.kill(*dead, blocks=False)
        subject.advance(1000 * RETENTION)
        assert await subject.ledger.prune(limit=10) == 0
        assert await listed(subject, State.DEAD) == ids(dead)

    async def test_a_ledger_that_can_hold_says_so(self, subject: Subject) -> None:
        await subject.ledger.ping()
