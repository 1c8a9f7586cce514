"""The tally: counted with the step itself, so that it adds up at every moment."""

from __future__ import annotations

from holdfast.operations.model import Problem, ProblemType, Refused
from holdfast.operations.ports import Dead, Done, LedgerStats

from .support import NOTE, TTL, Subject, again, done, on_resources, operation, refused


class TallyingContract:
    async def test_every_held_operation_is_somewhere(self, subject: Subject) -> None:
        good, bad, late, dead, gone, waits = held = on_resources(6)
        await subject.held(*held)
        first, second, third, fourth = await subject.lease(limit=4)
        await subject.settle(first, done(good))
        await subject.settle(second, refused(bad))
        superseded = Refused(Problem(ProblemType.SUPERSEDED, "written since"))
        await subject.settle(third, Done(late.id, superseded))
        await subject.settle(fourth, Dead(dead.id, "a bug", blocks=True))
        await subject.ledger.cancel(gone.id)
        stats = await subject.ledger.stats()
        tally = stats.tally
        assert (tally.held, tally.succeeded, tally.failed, tally.superseded) == (6, 1, 1, 1)
        assert (tally.cancelled, stats.dead, stats.waiting) == (1, 1, 1)
        assert adds_up(stats)
        assert (await subject.job(waits)).settled_at is None

    async def test_what_is_said_twice_is_counted_once(self, subject: Subject) -> None:
        one, other = on_resources(2)
        await subject.held(one, other)
        await subject.held(one, other)
        first, second = await subject.lease()
        for _ in range(2):
            await subject.settle(first, done(one))
            await subject.settle(second, Dead(other.id, "a bug", blocks=False))
            await subject.ledger.cancel(one.id)
        tally = (await subject.ledger.stats()).tally
        assert (tally.held, tally.succeeded, tally.died, tally.cancelled) == (2, 1, 1, 0)

    async def test_a_dead_operation_that_is_retried_waits_again(self, subject: Subject) -> None:
        one = operation()
        await subject.kill(one, blocks=True)
        await subject.ledger.retry(one.id)
        await subject.ledger.retry(one.id)
        stats = await subject.ledger.stats()
        assert (stats.tally.died, stats.tally.revived, stats.dead, stats.waiting) == (1, 1, 0, 1)
        assert adds_up(stats)

    async def test_a_fault_and_an_outage_are_told_apart(self, subject: Subject) -> None:
        one = operation()
        await subject.held(one)
        for verdict in (again(one), again(one, "a bug", counts=True), again(one)):
            await subject.settle(await subject.lease_one(), verdict)
        tally = (await subject.ledger.stats()).tally
        assert (tally.faults, tally.put_back) == (1, 2)

    async def test_a_replay_is_timed_from_its_hold_to_its_outcome(self, subject: Subject) -> None:
        quick, slow, slowest = on_resources(3)
        await subject.held(quick, slow, slowest)
        subject.advance(0.1)
        first, second, third = await subject.lease(ttl=1e6)
        await subject.settle(first, done(quick))
        subject.advance(29.9)
        await subject.settle(second, refused(slow))
        subject.advance(200_000.0)
        await subject.settle(third, done(slowest))
        tally = (await subject.ledger.stats()).tally
        found = {place: count for place, count in enumerate(tally.replays) if count}
        assert found == {0: 1, 7: 1, 16: 1}
        assert abs(tally.replay_seconds - 200_060.1) < 0.01

    async def test_a_retried_operation_is_timed_from_its_retry(self, subject: Subject) -> None:
        one = operation()
        await subject.kill(one, blocks=True)
        subject.advance(10_000.0)
        await subject.ledger.retry(one.id)
        subject.advance(2.0)
        await subject.settle(await subject.lease_one(), done(one))
        assert abs((await subject.ledger.stats()).tally.replay_seconds - 2.0) < 0.01

    async def test_a_late_holder_counts_only_what_it_settles(self, subject: Subject) -> None:
        one = operation(NOTE)
        await subject.held(one)
        early = await subject.lease_one()
        subject.advance(TTL)
        await subject.lease_one()
        await subject.settle(early, again(one, "a bug", counts=True))
        assert (await subject.ledger.stats()).tally.faults == 0
        await subject.settle(early, done(one))
        assert (await subject.ledger.stats()).tally.succeeded == 1


def adds_up(stats: LedgerStats) -> bool:
    tally = stats.tally
    settled = tally.succeeded + tally.failed + tally.superseded + tally.cancelled
    return tally.held == settled + stats.dead + stats.waiting and stats.dead == tally.died - tally.revived
