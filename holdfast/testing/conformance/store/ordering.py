"""Batches: many operations in one call."""

from __future__ import annotations

from holdfast.operations.model import Applied, Precondition, ProblemType, Resource

from .support import NOTE, OTHER, Subject, create, delete, merge, refusals, replace_by, versions


class OrderingContract:
    async def test_an_empty_batch_is_nothing(self, subject: Subject) -> None:
        assert await subject.apply() == []

    async def test_operations_on_one_resource_apply_in_their_given_order(self, subject: Subject) -> None:
        results = await subject.apply(
            create({"n": 1}),
            merge({"m": 1}),
            replace_by({"n": 2}, precondition=Precondition(match=(2,))),
            delete(),
            merge({"m": 2}),
            create({"n": 3}),
        )
        assert versions(results) == [1, 2, 3, 4, None, 5]
        assert refusals(results)[4] is ProblemType.NOT_FOUND
        assert [result.record.data for result in results if isinstance(result, Applied)] == [
            {"n": 1},
            {"n": 1, "m": 1},
            {"n": 2},
            None,
            {"n": 3},
        ]
        record = await subject.record()
        assert record is not None
        assert (record.version, record.data) == (5, {"n": 3})

    async def test_they_go_on_from_the_record_that_was_there(self, subject: Subject) -> None:
        await subject.apply(create({"n": 1}))
        assert versions(await subject.apply(merge({"a": 1}), merge({"b": 1}), merge({"n": None}))) == [2, 3, 4]
        assert await subject.data() == {"a": 1, "b": 1}

    async def test_a_batch_that_begins_or_ends_with_a_creation_knows_what_is_there(self, subject: Subject) -> None:
        await subject.apply(create({"n": 1}), create({"n": 1}, OTHER))
        impossible = Precondition(match=(7,))
        results = await subject.apply(
            merge({"m": 1}), create(), create({}, OTHER, precondition=impossible), merge({"m": 2}, OTHER)
        )
        assert versions(results) == [2, None, None, 2]
        assert (await subject.data(), await subject.data(OTHER)) == ({"n": 1, "m": 1}, {"n": 1, "m": 2})

    async def test_answers_come_in_the_order_of_the_questions(self, subject: Subject) -> None:
        resources = [Resource("notes", str(n)) for n in (5, 1, 4, 2, 3)]
        await subject.apply(create({}, resources[0]))
        results = await subject.apply(*(replace_by({"n": n}, one) for n, one in enumerate(resources)))
        assert [result.record.resource for result in results if isinstance(result, Applied)] == resources
        assert [result.record.data for result in results if isinstance(result, Applied)] == [{"n": n} for n in range(5)]
        assert versions(results) == [2, 1, 1, 1, 1]

    async def test_a_refused_operation_never_fails_its_neighbours(self, subject: Subject) -> None:
        await subject.apply(create())
        results = await subject.apply(
            create({"n": 1}, OTHER), create({"n": 2}), merge({"n": 3}), delete(NOTE._replace(id="9"))
        )
        assert refusals(results) == [None, ProblemType.ALREADY_EXISTS, None, ProblemType.NOT_FOUND]
        assert (await subject.data(), await subject.data(OTHER)) == ({"n": 3}, {"n": 1})

    async def test_a_large_batch_on_many_resources_applies_as_a_whole(self, subject: Subject) -> None:
        resources = [Resource("notes", f"{n % 97}") for n in range(1000)]
        results = await subject.apply(*(replace_by({"n": n}, one) for n, one in enumerate(resources)))
        assert versions(results) == [1 + n // 97 for n in range(1000)]
        records = await subject.store.read(resources[-97:])
        assert [record.data for record in records if record] == [{"n": n} for n in range(1000 - 97, 1000)]
