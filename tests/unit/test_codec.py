"""What is kept as JSON comes back as it was, also when another version wrote it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.codec import (
    decode_operation,
    decode_outcome,
    decode_record,
    encode_operation,
    encode_outcome,
    encode_record,
    parse_resource,
    resource_text,
)
from holdfast.operations.model import (
    Applied,
    Effect,
    Kind,
    Operation,
    Origin,
    Precondition,
    Problem,
    ProblemType,
    Record,
    Refused,
    Resource,
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(text, values, max_size=4)
versions = st.none() | st.just("*") | st.lists(st.integers(1, 2**60), max_size=3).map(tuple)
times = st.integers(0, 4_000_000_000_000).map(lambda milliseconds: milliseconds / 1000)
resources = st.builds(Resource, text.filter(lambda name: "/" not in name), text)
operations = st.builds(
    Operation,
    id=text,
    principal=text,
    resource=resources,
    kind=st.sampled_from(Kind),
    payload=st.none() | objects,
    fingerprint=text,
    accepted_at=times,
    precondition=st.none() | st.builds(Precondition, versions, versions),
    keyed=st.booleans(),
    origin=st.sampled_from(Origin),
    traceparent=st.none() | text,
)
records = st.builds(Record, resources, st.integers(1, 2**60), st.none() | objects, times, times, st.none() | times)
outcomes = st.builds(Applied, st.sampled_from(Effect), records, st.booleans()) | st.builds(
    Refused, st.builds(Problem, st.sampled_from(ProblemType), text), st.booleans()
)


@given(operations)
def test_an_operation_comes_back_as_it_was(one: Operation) -> None:
    assert decode_operation(*encode_operation(one)) == one


@given(outcomes)
def test_an_outcome_comes_back_as_it_was(outcome: Applied | Refused) -> None:
    assert decode_outcome(encode_outcome(outcome)) == outcome


@given(records)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


@given(resources)
def test_a_resource_comes_back_as_it_was(resource: Resource) -> None:
    assert parse_resource(resource_text(resource)) == resource


def test_an_operation_without_its_payload_can_still_be_read() -> None:
    one = Operation("a", "b", Resource("c", "d"), Kind.MERGE, {"n": 1}, "f", 1.5)
    rest, _ = encode_operation(one)
    for dropped in (None, b""):
        read = decode_operation(rest, dropped)
        assert (read.id, read.kind, read.payload) == ("a", Kind.MERGE, None)


def test_a_field_that_a_newer_version_wrote_is_ignored() -> None:
    rest, payload = encode_operation(Operation("a", "b", Resource("c", "d"), Kind.DELETE, None, "f", 1.5))
    assert decode_operation(rest[:-1] + b',"novelty":[1]}', payload).id == "a"


def test_an_outcome_that_says_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="either an effect on a record or a problem"):
        decode_outcome(b"{}")
