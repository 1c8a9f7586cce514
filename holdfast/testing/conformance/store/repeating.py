"""One operation, any number of times: one effect, one answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.operations.model import Applied, Operation, Origin, ProblemType, Refused

from .support import OTHER, Subject, create, delete, merge, refusals, replace_by, versions

KINDS = {
    "create": create({"n": 1}),
    "replace": replace_by({"n": 1}),
    "merge": merge({"n": 1, "a": {"b": 2}}),
    "delete": delete(),
}


def each_kind() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", list(KINDS))


async def _apply_first(subject: Subject, kind: str, **changes: bool | Origin) -> tuple[Operation, Applied]:
    """An operation of the kind, on a record where it needs one."""
    if kind != "create":
        await subject.apply(create({"n": 0, "a": {"c": 3}}))
    one = replace(KINDS[kind], **changes)  # type: ignore[arg-type]
    return one, await subject.applied(one)


class RepeatingContract:
    @each_kind()
    async def test_a_repeat_changes_nothing_and_is_answered_like_the_first(self, subject: Subject, kind: str) -> None:
        one, first = await _apply_first(subject, kind)
        before = await subject.record()
        assert await subject.outcome(one) == replace(first, replayed=True)
        assert await subject.record() == before == first.record

    @each_kind()
    async def test_the_answer_shows_the_record_as_it_was_then(self, subject: Subject, kind: str) -> None:
        one, first = await _apply_first(subject, kind)
        await subject.apply(replace_by({"n": 5}), merge({"n": 6}), delete(), create({"n": 7}, origin=Origin.UNGATED))
        assert await subject.outcome(one) == replace(first, replayed=True)
        assert await subject.data() == {"n": 7}

    @each_kind()
    async def test_when_and_how_the_repeat_came_does_not_matter(self, subject: Subject, kind: str) -> None:
        one, first = await _apply_first(subject, kind)
        for origin in Origin:
            late = replace(one, accepted_at=one.accepted_at + 60, origin=origin, keyed=not one.keyed)
            assert await subject.outcome(late) == replace(first, replayed=True)

    @each_kind()
    async def test_one_that_was_withdrawn_first_never_takes_effect(self, subject: Subject, kind: str) -> None:
        if kind != "create":
            await subject.apply(create({"n": 0}))
        before, one = await subject.record(), KINDS[kind]
        first = await subject.problem(replace(one, origin=Origin.WITHDRAWN, payload=None))
        assert first.type is ProblemType.CANCELLED
        for late in (one, replace(one, origin=Origin.HELD), replace(one, keyed=True)):
            assert await subject.problem(late) == first
        assert await subject.record() == before

    @each_kind()
    async def test_one_that_took_effect_cannot_be_withdrawn(self, subject: Subject, kind: str) -> None:
        one, first = await _apply_first(subject, kind)
        assert isinstance(await subject.outcome(replace(one, origin=Origin.WITHDRAWN, payload=None)), Applied)
        assert await subject.record() == first.record

    @each_kind()
    async def test_the_other_process_knows_it_too(self, subject: Subject, kind: str) -> None:
        one, first = await _apply_first(subject, kind)
        assert await subject.peer.apply([one]) == [replace(first, replayed=True)]

    async def test_a_mark_is_part_of_the_answer(self, subject: Subject) -> None:
        one, first = await _apply_first(subject, "merge", origin=Origin.UNGATED)
        await subject.apply(replace_by({}, origin=Origin.UNGATED))
        assert first.record.ungated_at == one.accepted_at
        assert await subject.outcome(one) == replace(first, replayed=True)

    async def test_repeats_within_one_batch_have_one_effect(self, subject: Subject) -> None:
        one, two = create({"n": 1}), merge({"m": 1})
        results = await subject.apply(one, one, two, one, two)
        assert versions(results) == [1, 1, 2, 1, 2]
        assert [isinstance(result, Applied) and result.replayed for result in results] == [
            False,
            True,
            False,
            True,
            True,
        ]
        assert results[3] == replace_replayed(results[0])
        assert results[4] == replace_replayed(results[2])

    async def test_new_and_repeated_operations_share_a_batch(self, subject: Subject) -> None:
        one = create({"n": 1})
        await subject.apply(one)
        results = await subject.apply(merge({"m": 1}), one, create({"n": 2}, OTHER), one)
        assert versions(results) == [2, 1, 1, 1]
        assert await subject.data() == {"n": 1, "m": 1}

    @pytest.mark.parametrize("change", [{"keyed": True}, {"origin": Origin.HELD}], ids=["keyed", "held"])
    async def test_a_refusal_is_remembered_where_the_operation_can_come_again(
        self, subject: Subject, change: dict[str, bool | Origin]
    ) -> None:
        refused = [replace(one, **change) for one in (merge({"m": 1}), delete())]  # type: ignore[arg-type]
        first = await subject.apply(*refused)
        assert refusals(first) == [ProblemType.NOT_FOUND] * 2
        await subject.apply(create({"n": 1}))
        assert await subject.apply(*refused) == [replace_replayed(result) for result in first]
        assert await subject.data() == {"n": 1}

    async def test_a_refusal_is_forgotten_where_the_operation_cannot_come_again(self, subject: Subject) -> None:
        one = merge({"m": 1})
        assert (await subject.problem(one)).type is ProblemType.NOT_FOUND
        await subject.apply(create({"n": 1}))
        assert (await subject.applied(one)).record.data == {"n": 1, "m": 1}

    @each_kind()
    async def test_another_request_under_the_same_id_is_refused(self, subject: Subject, kind: str) -> None:
        one, first = await _apply_first(subject, kind)
        for other in (
            replace(one, fingerprint="f1"),
            replace_by({"n": 9}, id=one.id, fingerprint="f1"),
            create({"n": 9}, OTHER, id=one.id, fingerprint="f1", keyed=True),
        ):
            assert (await subject.problem(other)).type is ProblemType.KEY_REUSED
        assert await subject.record() == first.record
        assert await subject.record(OTHER) is None

    async def test_another_request_under_the_id_of_a_refused_one_is_refused(self, subject: Subject) -> None:
        one = delete(keyed=True)
        await subject.apply(one)
        other = create({"n": 1}, id=one.id, fingerprint="f1", keyed=True)
        assert (await subject.problem(other)).type is ProblemType.KEY_REUSED
        assert await subject.record() is None

    async def test_another_request_under_the_same_id_in_one_batch_is_refused(self, subject: Subject) -> None:
        one = create({"n": 1}, keyed=True)
        other = create({"n": 2}, OTHER, id=one.id, fingerprint="f1", keyed=True)
        results = await subject.apply(one, replace(one, fingerprint="f2"), other, one)
        assert refusals(results) == [None, ProblemType.KEY_REUSED, ProblemType.KEY_REUSED, None]
        assert await subject.record(OTHER) is None

    async def test_another_request_beside_a_repeat_does_not_spoil_its_answer(self, subject: Subject) -> None:
        one = create({"n": 1}, keyed=True)
        first = await subject.outcome(one)
        others = [create({"n": 2}, id=one.id, fingerprint=fingerprint, keyed=True) for fingerprint in ("f1", "f2")]
        results = await subject.apply(others[0], one, others[1])
        assert refusals(results) == [ProblemType.KEY_REUSED, None, ProblemType.KEY_REUSED]
        assert results[1] == replace_replayed(first)

    async def test_a_held_operation_that_had_happened_is_answered_although_a_mark_was_made_since(
        self, subject: Subject
    ) -> None:
        one = create({"n": 1})
        first = await subject.applied(one)
        await subject.apply(replace_by({"n": 2}, origin=Origin.UNGATED))
        assert await subject.outcome(replace(one, origin=Origin.HELD)) == replace(first, replayed=True)


def replace_replayed(result: object) -> Applied | Refused:
    assert isinstance(result, Applied | Refused)
    return replace(result, replayed=True)
