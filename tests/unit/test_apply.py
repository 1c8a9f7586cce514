"""What an operation does to a record, without any store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.operations.apply import apply, merge_patch
from holdfast.operations.model import (
    Applied,
    Effect,
    Kind,
    Operation,
    Origin,
    Precondition,
    ProblemType,
    Record,
    Refused,
    Resource,
)

NOTE = Resource("notes", "1")
RECORD = Record(NOTE, 3, {"n": 1}, created_at=10.0, updated_at=20.0)
GONE = replace(RECORD, data=None)


def operation(kind: Kind, payload: Any = None, **rest: Any) -> Operation:
    given: dict[str, Any] = {"id": "1", "principal": "ada", "fingerprint": "f", "accepted_at": 30.0}
    return Operation(resource=NOTE, kind=kind, payload=payload, **(given | rest))


def test_times_come_from_the_operation_so_that_it_does_the_same_whenever_it_is_applied() -> None:
    changed = apply(RECORD, operation(Kind.REPLACE, {"n": 2}))
    made_anew = apply(GONE, operation(Kind.CREATE, {"n": 2}))
    assert changed == Applied(Effect.UPDATED, Record(NOTE, 4, {"n": 2}, 10.0, 30.0))
    assert made_anew == Applied(Effect.CREATED, Record(NOTE, 4, {"n": 2}, 30.0, 30.0))


@pytest.mark.parametrize(
    ("record", "kind", "problem"),
    [
        (RECORD, Kind.CREATE, ProblemType.ALREADY_EXISTS),
        (None, Kind.MERGE, ProblemType.NOT_FOUND),
        (GONE, Kind.MERGE, ProblemType.NOT_FOUND),
        (None, Kind.DELETE, ProblemType.NOT_FOUND),
        (GONE, Kind.DELETE, ProblemType.NOT_FOUND),
    ],
)
def test_what_cannot_be_done_is_refused(record: Record | None, kind: Kind, problem: ProblemType) -> None:
    outcome = apply(record, operation(kind, {}))
    assert isinstance(outcome, Refused)
    assert outcome.problem.type is problem


def test_a_failed_precondition_is_told_before_anything_else() -> None:
    impossible = Precondition(match=(9,))
    for kind in Kind:
        outcome = apply(GONE, operation(kind, {}, precondition=impossible))
        assert isinstance(outcome, Refused)
        assert outcome.problem.type is ProblemType.PRECONDITION_FAILED


def test_a_held_operation_yields_only_to_marks_younger_than_itself() -> None:
    held = operation(Kind.REPLACE, {"n": 2}, origin=Origin.HELD)
    younger = apply(replace(RECORD, ungated_at=30.001), held)
    assert isinstance(younger, Refused)
    assert younger.problem.type is ProblemType.SUPERSEDED
    assert isinstance(apply(replace(RECORD, ungated_at=30.0), held), Applied)


def test_a_mark_survives_deletion_so_that_what_was_held_before_it_stays_superseded() -> None:
    deleted = apply(RECORD, operation(Kind.DELETE, origin=Origin.UNGATED, accepted_at=40.0))
    assert isinstance(deleted, Applied)
    outcome = apply(deleted.record, operation(Kind.CREATE, {}, origin=Origin.HELD))
    assert isinstance(outcome, Refused)
    assert outcome.problem.type is ProblemType.SUPERSEDED


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(st.text(max_size=2), json, max_size=4)


@given(target=objects, patch=objects)
def test_a_merge_patch_sets_what_it_names_and_leaves_the_rest(target: dict[str, Any], patch: dict[str, Any]) -> None:
    before = repr((target, patch))
    merged = merge_patch(target, patch)
    for name in target.keys() | patch.keys():
        if name not in patch:
            assert merged[name] == target[name]
        elif patch[name] is None:
            assert name not in merged
        elif isinstance(patch[name], dict):
            assert merged[name] == merge_patch(target.get(name), patch[name])
        else:
            assert merged[name] == patch[name]
    assert repr((target, patch)) == before


@given(target=objects, patch=objects)
def test_merging_twice_is_merging_once(target: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once
