"""Two processes at the same time."""

from __future__ import annotations

import asyncio

from holdfast.operations.model import Applied, Operation, ProblemType, Refused, Resource, Result

from .support import NOTE, OTHER, Subject, create, delete, merge, replace_by, versions


class CompetingContract:
    async def test_one_operation_tried_by_many_at_once_has_one_effect(self, subject: Subject) -> None:
        for n in range(20):
            resource = Resource("notes", f"n{n}")
            one = create({"n": n}, resource, keyed=True)
            results = [result for (result,) in await _race(subject, [[one]] * 8)]
            assert versions(results) == [1] * 8
            assert [_first(result) for result in results].count(True) == 1

    async def test_one_merge_tried_by_many_at_once_has_one_effect(self, subject: Subject) -> None:
        await subject.apply(create({"n": 0}))
        for n in range(20):
            one = merge({f"m{n}": n}, keyed=True)
            results = [result for (result,) in await _race(subject, [[one]] * 8)]
            assert versions(results) == [n + 2] * 8
            assert [_first(result) for result in results].count(True) == 1

    async def test_of_two_requests_with_one_id_at_once_one_takes_effect(self, subject: Subject) -> None:
        for n in range(20):
            one = create({"n": 1}, Resource("notes", f"a{n}"), keyed=True)
            other = create({"n": 2}, Resource("notes", f"b{n}"), id=one.id, fingerprint="f1", keyed=True)
            results = [result for (result,) in await _race(subject, [[one], [other]])]
            assert sorted(isinstance(result, Applied) for result in results) == [False, True]
            refused = next(result for result in results if isinstance(result, Refused))
            assert refused.problem.type is ProblemType.KEY_REUSED
            assert len(await subject.store.page("notes", after=None, limit=100)) == n + 1

    async def test_of_many_creations_of_one_record_one_succeeds(self, subject: Subject) -> None:
        results = [result for (result,) in await _race(subject, [[create({"n": n})] for n in range(12)])]
        assert [isinstance(result, Applied) for result in results].count(True) == 1
        assert {result.problem.type for result in results if isinstance(result, Refused)} == {
            ProblemType.ALREADY_EXISTS
        }

    async def test_versions_of_a_record_that_many_change_have_no_gap_and_no_twin(self, subject: Subject) -> None:
        await subject.apply(create({}))
        batches = [[merge({f"b{b}.{n}": 1}) for n in range(5)] for b in range(24)]
        answers = await _race(subject, batches)
        made = sorted(version or 0 for results in answers for version in versions(results))
        assert made == list(range(2, 2 + 24 * 5))
        assert all(versions(results) == sorted(version or 0 for version in versions(results)) for results in answers)
        assert await subject.data() == {f"b{b}.{n}": 1 for b in range(24) for n in range(5)}

    async def test_batches_that_share_their_resources_all_get_through(self, subject: Subject) -> None:
        resources = [Resource("notes", f"n{n}") for n in range(8)]
        await subject.apply(*(create({}, one) for one in resources[:4]))
        turned = [resources[b % 8 :] + resources[: b % 8] for b in range(30)]
        batches = [[replace_by({"b": b}, one) for one in turned[b][:: 1 if b % 3 else -1]] for b in range(30)]
        answers = await _race(subject, batches)
        assert all(isinstance(result, Applied) for results in answers for result in results)
        records = await subject.store.read(resources)
        assert [record and record.version for record in records] == [31] * 4 + [30] * 4

    async def test_a_delete_and_a_creation_at_once_never_lose_a_version(self, subject: Subject) -> None:
        batches = [[create({"n": n}), delete(), create({"n": n}, OTHER), delete(OTHER)] for n in range(12)]
        answers = await _race(subject, batches)
        for resource in (NOTE, OTHER):
            made = [
                result.record.version
                for results in answers
                for result in results
                if isinstance(result, Applied) and result.record.resource == resource
            ]
            record = await subject.record(resource)
            assert record is not None
            assert sorted(made) == list(range(1, record.version + 1))


async def _race(subject: Subject, batches: list[list[Operation]]) -> list[list[Result]]:
    """All at the same time, half of them in the other process."""
    stores = (subject.store, subject.peer)
    return list(await asyncio.gather(*(stores[n % 2].apply(batch) for n, batch in enumerate(batches))))


def _first(result: Result) -> bool:
    return isinstance(result, Applied) and not result.replayed
