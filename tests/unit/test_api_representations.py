"""How records and jobs look to clients."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from api.representations import encode, job, record, timestamp
from holdfast.operations.model import (
    Applied,
    Effect,
    Job,
    Kind,
    Problem,
    ProblemType,
    Record,
    Refused,
    Resource,
    State,
)
from tests.support.engine import operation

RECORD = Record(Resource("orders", "1"), 3, {"a": 1}, 1_700_000_000.5, 1_700_000_001.0)


@given(st.integers(0, 4_102_444_800_000))
def test_times_are_rfc_3339_to_the_millisecond(milliseconds: int) -> None:
    shown = timestamp(milliseconds / 1000)
    assert shown.endswith("Z")
    assert len(shown) == len("2023-11-14T22:13:20.500Z")
    assert round(datetime.fromisoformat(shown).timestamp() * 1000) == milliseconds
    assert datetime.fromisoformat(shown).tzinfo == UTC


def test_a_record_is_shown_whole() -> None:
    assert record(RECORD) == {
        "collection": "orders",
        "id": "1",
        "version": 3,
        "data": {"a": 1},
        "created_at": "2023-11-14T22:13:20.500Z",
        "updated_at": "2023-11-14T22:13:21.000Z",
    }


def test_a_waiting_job_has_no_end_yet() -> None:
    held = operation(Kind.REPLACE, "orders/a/b", at=1_700_000_000.5)
    shown = job(Job(held, State.RETRYING, attempts=2, next_attempt_at=1_700_000_009.0, last_error="DataError: no"))
    assert shown == {
        "id": held.id,
        "state": "retrying",
        "resource": "orders/a/b",
        "kind": "replace",
        "accepted_at": "2023-11-14T22:13:20.500Z",
        "attempts": 2,
        "next_attempt_at": "2023-11-14T22:13:29.000Z",
        "last_error": "DataError: no",
        "settled_at": None,
        "result": None,
    }
    assert json.loads(encode(shown)) == shown


def test_a_settled_job_shows_what_the_request_would_have_been_answered() -> None:
    def result(outcome: Applied | Refused) -> object:
        return job(Job(operation(), State.SUCCEEDED, settled_at=1_700_000_009.0, outcome=outcome))["result"]

    assert result(Applied(Effect.CREATED, RECORD)) == {"status": 201, "record": record(RECORD)}
    assert result(Applied(Effect.UPDATED, RECORD)) == {"status": 200, "record": record(RECORD)}
    assert result(Applied(Effect.DELETED, RECORD)) == {"status": 204, "record": None}
    assert result(Refused(Problem(ProblemType.SUPERSEDED, "orders/1 was written directly"))) == {
        "status": 409,
        "problem": {
            "type": "/problems/superseded",
            "title": "A later write took effect first",
            "status": 409,
            "detail": "orders/1 was written directly",
        },
    }
