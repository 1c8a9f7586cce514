"""What one operation does to one record."""

from __future__ import annotations

import pytest

from holdfast.operations.model import (
    Applied,
    Effect,
    JsonObject,
    Operation,
    Origin,
    Precondition,
    ProblemType,
    Record,
)

from .support import NOTE, OTHER, Subject, create, delete, merge, replace_by


class ApplyingContract:
    async def test_a_created_record_is_there_at_version_one(self, subject: Subject) -> None:
        one = create({"title": "a"})
        record = Record(NOTE, 1, {"title": "a"}, one.accepted_at, one.accepted_at)
        assert await subject.outcome(one) == Applied(Effect.CREATED, record)
        assert await subject.record() == record

    async def test_a_replaced_record_has_the_new_data_alone_and_keeps_its_birthday(self, subject: Subject) -> None:
        first, second = create({"title": "a", "more": 1}), replace_by({"title": "b"})
        await subject.apply(first)
        record = Record(NOTE, 2, {"title": "b"}, first.accepted_at, second.accepted_at)
        assert await subject.outcome(second) == Applied(Effect.UPDATED, record)
        assert await subject.record() == record

    async def test_a_replacement_creates_what_is_not_there(self, subject: Subject) -> None:
        applied = await subject.applied(replace_by({"title": "a"}))
        assert (applied.effect, applied.record.version) == (Effect.CREATED, 1)
        assert await subject.record() == applied.record

    async def test_a_deleted_record_leaves_a_tombstone_with_a_version(self, subject: Subject) -> None:
        first, second = create({"title": "a"}), delete()
        await subject.apply(first)
        tombstone = Record(NOTE, 2, None, first.accepted_at, second.accepted_at)
        assert await subject.outcome(second) == Applied(Effect.DELETED, tombstone)
        assert await subject.record() == tombstone

    async def test_versions_go_on_where_a_record_is_made_anew(self, subject: Subject) -> None:
        await subject.apply(create())
        await subject.apply(delete())
        again = create({"title": "b"})
        record = Record(NOTE, 3, {"title": "b"}, again.accepted_at, again.accepted_at)
        assert await subject.outcome(again) == Applied(Effect.CREATED, record)
        assert await subject.record() == record

    async def test_a_record_is_not_created_twice(self, subject: Subject) -> None:
        await subject.apply(create({"title": "a"}))
        assert (await subject.problem(create({"title": "b"}))).type is ProblemType.ALREADY_EXISTS
        assert await subject.data() == {"title": "a"}

    @pytest.mark.parametrize("one", [merge({"a": 1}), delete()], ids=["merge", "delete"])
    async def test_what_is_not_there_cannot_be_changed(self, subject: Subject, one: Operation) -> None:
        assert (await subject.problem(one)).type is ProblemType.NOT_FOUND
        assert await subject.record() is None

    @pytest.mark.parametrize("one", [merge({"a": 1}), delete()], ids=["merge", "delete"])
    async def test_what_was_deleted_cannot_be_changed(self, subject: Subject, one: Operation) -> None:
        await subject.apply(create())
        tombstone = await subject.applied(delete())
        assert (await subject.problem(one)).type is ProblemType.NOT_FOUND
        assert await subject.record() == tombstone.record

    @pytest.mark.parametrize(
        ("target", "patch", "merged"),
        [
            ({"a": "b"}, {"a": "c"}, {"a": "c"}),
            ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
            ({"a": "b"}, {"a": None}, {}),
            ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
            ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
            ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
            ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
            ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
            ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
            ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
            ({"a": "b"}, {}, {"a": "b"}),
        ],
    )
    async def test_a_merge_patch_does_what_rfc_7396_says(
        self, subject: Subject, target: JsonObject, patch: JsonObject, merged: JsonObject
    ) -> None:
        await subject.apply(create(target))
        applied = await subject.applied(merge(patch))
        assert applied.record.data == merged
        assert await subject.record() == applied.record

    @pytest.mark.parametrize(
        ("precondition", "holds"),
        [
            (Precondition(match=(2,)), True),
            (Precondition(match=(7, 2)), True),
            (Precondition(match=(1,)), False),
            (Precondition(match="*"), True),
            (Precondition(none_match=(1,)), True),
            (Precondition(none_match=(2,)), False),
            (Precondition(none_match="*"), False),
            (Precondition(match=(2,), none_match=(2,)), False),
        ],
    )
    async def test_a_precondition_is_held_against_the_version(
        self, subject: Subject, precondition: Precondition, holds: bool
    ) -> None:
        await subject.apply(create({"n": 1}), replace_by({"n": 2}))
        outcome = await subject.outcome(replace_by({"n": 3}, precondition=precondition))
        assert isinstance(outcome, Applied) == holds
        assert await subject.data() == {"n": 3 if holds else 2}
        if not isinstance(outcome, Applied):
            assert outcome.problem.type is ProblemType.PRECONDITION_FAILED

    @pytest.mark.parametrize("gone", [False, True], ids=["never there", "deleted"])
    async def test_what_is_not_there_has_no_version_at_all(self, subject: Subject, gone: bool) -> None:
        if gone:
            await subject.apply(create(), delete())
        needs_one = replace_by({"n": 1}, precondition=Precondition(match="*"))
        needs_none = replace_by({"n": 1}, precondition=Precondition(none_match="*"))
        assert (await subject.problem(needs_one)).type is ProblemType.PRECONDITION_FAILED
        assert (await subject.applied(needs_none)).effect is Effect.CREATED

    async def test_a_write_past_the_gate_marks_its_record_and_the_mark_stays(self, subject: Subject) -> None:
        ungated = create({"n": 1}, origin=Origin.UNGATED)
        await subject.apply(ungated)
        for one in (replace_by({"n": 2}), merge({"m": 1}), delete(), create({"n": 3})):
            applied = await subject.applied(one)
            assert applied.record.ungated_at == ungated.accepted_at
            assert await subject.record() == applied.record

    async def test_the_mark_is_the_youngest(self, subject: Subject) -> None:
        early, late = (replace_by({}, origin=Origin.UNGATED) for _ in range(2))
        await subject.apply(late)
        assert (await subject.applied(early)).record.ungated_at == late.accepted_at

    @pytest.mark.parametrize("origin", [Origin.HELD, Origin.GATED])
    async def test_an_operation_yields_to_a_mark_made_after_it_was_accepted(
        self, subject: Subject, origin: Origin
    ) -> None:
        early, mark = replace_by({"n": 1}, origin=origin), replace_by({"n": 2}, origin=Origin.UNGATED)
        later = replace_by({"n": 3}, origin=origin)
        await subject.apply(mark)
        assert (await subject.problem(early)).type is ProblemType.SUPERSEDED
        assert await subject.data() == {"n": 2}
        assert (await subject.applied(later)).record.version == 2

    async def test_an_operation_that_could_not_ask_either_does_not_yield(self, subject: Subject) -> None:
        early = replace_by({"n": 1}, origin=Origin.UNGATED)
        await subject.apply(replace_by({"n": 2}, origin=Origin.UNGATED))
        assert (await subject.applied(early)).record.data == {"n": 1}

    async def test_a_record_of_another_id_or_collection_is_another(self, subject: Subject) -> None:
        others = [OTHER, NOTE._replace(collection="notes2"), NOTE._replace(id="1/1"), NOTE._replace(id="1 ")]
        await subject.apply(create({"n": 0}), *(create({"n": 1}, other) for other in others))
        await subject.apply(replace_by({"n": 9}))
        assert [record and record.data for record in await subject.store.read(others)] == [{"n": 1}] * len(others)
