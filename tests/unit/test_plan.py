"""What a batch must change, without any store."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.operations.model import (
    Applied,
    Kind,
    Operation,
    Origin,
    Outcome,
    Precondition,
    Problem,
    ProblemType,
    Record,
    Refused,
    Resource,
)
from holdfast.operations.plan import Group, Known, plan


def operation(kind: Kind, name: str = "a", **rest: Any) -> Operation:
    given: dict[str, Any] = {"id": f"{kind}-{name}", "principal": "ada", "fingerprint": "f", "accepted_at": 30.0}
    return Operation(resource=Resource("notes", name), kind=kind, payload={}, **(given | rest))


def record(name: str, version: int) -> Record:
    return Record(Resource("notes", name), version, {}, 1.0, 1.0)


def only(groups: list[Group]) -> Group:
    (group,) = groups
    return group


def test_groups_come_in_the_order_of_their_resources() -> None:
    batch = list(enumerate(operation(Kind.REPLACE, name) for name in ("c", "a", "b", "a")))
    assert [group.resource.id for group in plan(batch, {}, {})] == ["a", "b", "c"]


def test_a_group_is_guarded_by_the_version_that_it_was_planned_on() -> None:
    before = record("a", 7)
    batch = [(0, operation(Kind.MERGE)), (1, operation(Kind.DELETE))]
    group = only(plan(batch, {before.resource: before}, {}))
    assert group.record is not None
    assert (group.base, group.record.version, group.record.data) == (7, 9, None)
    assert only(plan(batch[:1], {}, {})).base == 0


def test_an_answer_keeps_its_position_in_the_whole_batch() -> None:
    batch = [(4, operation(Kind.REPLACE, "b")), (7, operation(Kind.REPLACE, "a"))]
    assert [[position for position, _ in group.answers] for group in plan(batch, {}, {})] == [[7], [4]]


def test_nothing_is_to_be_written_for_a_refusal_that_cannot_come_again() -> None:
    group = only(plan([(0, operation(Kind.DELETE))], {}, {}))
    assert not group.changes
    assert only(plan([(0, operation(Kind.DELETE, keyed=True))], {}, {})).changes
    assert only(plan([(0, operation(Kind.DELETE, origin=Origin.HELD))], {}, {})).changes


def test_nothing_is_to_be_written_for_what_is_known() -> None:
    refused = Refused(Problem(ProblemType.NOT_FOUND, "gone"))
    one, other = operation(Kind.REPLACE), operation(Kind.REPLACE, fingerprint="g")
    group = only(plan([(0, one), (1, other)], {}, {one.id: Known("f", refused)}))
    assert not group.changes
    assert group.answers[0] == (0, Refused(refused.problem, replayed=True))
    second = group.answers[1][1]
    assert isinstance(second, Refused)
    assert second.problem.type is ProblemType.KEY_REUSED


class Model:
    """A store that applies what it is given as one batch."""

    def __init__(self) -> None:
        self.records: dict[Resource, Record] = {}
        self.known: dict[str, Known] = {}

    def apply(self, batch: list[Operation]) -> list[Outcome]:
        answers: dict[int, Outcome] = {}
        for group in plan(list(enumerate(batch)), self.records, self.known):
            answers.update(group.answers)
            if group.record is not None:
                self.records[group.resource] = group.record
            self.known.update((one.id, Known(one.fingerprint, outcome)) for one, outcome in group.entries)
        return [answers[position] for position in range(len(batch))]


preconditions = st.none() | st.builds(
    Precondition,
    match=st.none() | st.just("*") | st.tuples(st.integers(1, 4)),
    none_match=st.none() | st.just("*") | st.tuples(st.integers(1, 4)),
)
operations = st.builds(
    Operation,
    id=st.sampled_from([f"{n}" for n in range(12)]),
    principal=st.just("ada"),
    resource=st.builds(Resource, st.just("notes"), st.sampled_from("abc")),
    kind=st.sampled_from(list(Kind)),
    payload=st.dictionaries(st.sampled_from("xy"), st.none() | st.integers(0, 3), max_size=2),
    fingerprint=st.sampled_from(["f", "f", "g"]),
    accepted_at=st.integers(1, 9).map(float),
    precondition=preconditions,
    keyed=st.booleans(),
    origin=st.sampled_from(list(Origin)),
)


@given(batch=st.lists(operations, max_size=20))
def test_a_batch_does_what_its_operations_do_one_by_one(batch: list[Operation]) -> None:
    together, alone = Model(), Model()
    answers = together.apply(batch)
    assert answers == [alone.apply([one])[0] for one in batch]
    assert (together.records, together.known) == (alone.records, alone.known)


@given(batch=st.lists(operations, max_size=20))
def test_repeating_a_batch_of_keyed_operations_changes_nothing(batch: list[Operation]) -> None:
    keyed = [one for one in batch if one.keyed]
    model = Model()
    first = model.apply(keyed)
    records = dict(model.records)
    repeated = model.apply(keyed)
    assert model.records == records
    assert all(isinstance(outcome, Refused) or outcome.replayed for outcome in repeated)
    assert [_essence(outcome) for outcome in repeated] == [_essence(outcome) for outcome in first]


def _essence(outcome: Outcome) -> object:
    return (outcome.effect, outcome.record) if isinstance(outcome, Applied) else outcome.problem
