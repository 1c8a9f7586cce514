"""How long operations are remembered, and whether the store can work."""

from __future__ import annotations

from dataclasses import replace

from holdfast.operations.model import Origin, ProblemType, Resource

from .support import NOTE, Subject, create, delete, replace_by

# Far from any clock that a store may go by.
LONG_AGO, FAR_AHEAD = 1.0, 32_503_680_000.0


class KeepingContract:
    async def test_what_is_younger_is_not_forgotten(self, subject: Subject) -> None:
        one = create({"n": 1})
        first = await subject.applied(one)
        assert await subject.store.prune(before=LONG_AGO, limit=10) == 0
        assert await subject.outcome(one) == replace(first, replayed=True)

    async def test_it_counts_from_when_it_was_applied_and_not_accepted(self, subject: Subject) -> None:
        one = create({"n": 1}, accepted_at=10.0, origin=Origin.HELD)
        await subject.apply(one)
        assert await subject.store.prune(before=20.0, limit=10) == 0

    async def test_a_forgotten_operation_is_a_new_one(self, subject: Subject) -> None:
        one = replace_by({"n": 1})
        await subject.apply(one)
        assert await subject.store.prune(before=FAR_AHEAD, limit=10) == 1
        applied = await subject.applied(one)
        assert (applied.replayed, applied.record.version) == (False, 2)

    async def test_refusals_are_forgotten_too(self, subject: Subject) -> None:
        one = delete(keyed=True)
        assert (await subject.problem(one)).type is ProblemType.NOT_FOUND
        assert await subject.store.prune(before=FAR_AHEAD, limit=10) == 1
        await subject.apply(create())
        await subject.applied(one)

    async def test_records_and_tombstones_stay(self, subject: Subject) -> None:
        await subject.apply(create({"n": 1}), delete(), create({"n": 2}, Resource("notes", "2")))
        before = await subject.store.read([NOTE, Resource("notes", "2")])
        await subject.store.prune(before=FAR_AHEAD, limit=10)
        assert await subject.store.read([NOTE, Resource("notes", "2")]) == before

    async def test_no_more_than_the_limit_is_forgotten_at_a_time(self, subject: Subject) -> None:
        await subject.apply(*(create({}, Resource("notes", str(n))) for n in range(7)))
        counts = [await subject.store.prune(before=FAR_AHEAD, limit=3) for _ in range(4)]
        assert counts == [3, 3, 1, 0]

    async def test_a_store_that_can_take_a_write_says_so(self, subject: Subject) -> None:
        await subject.store.ping()

    async def test_closing_twice_is_closing_once(self, subject: Subject) -> None:
        await subject.peer.ping()
        await subject.peer.close()
        await subject.peer.close()
