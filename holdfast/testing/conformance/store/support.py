"""What the tests of a store share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

from holdfast.operations.identity import new_operation_id
from holdfast.operations.model import (
    Applied,
    JsonObject,
    Kind,
    Operation,
    Outcome,
    Problem,
    ProblemType,
    Record,
    Refused,
    Resource,
    Result,
)
from holdfast.operations.ports import Store

NOTE = Resource("notes", "1")
OTHER = Resource("notes", "2")
NOW = 1_700_000_000.0

_ticks = count(1)


@dataclass(frozen=True, slots=True)
class Subject:
    """A store with nothing in it.

    peer:       another one on the same records, as another process has it.
    unstorable: data that this store will not take, for RefusingContract.
    """

    store: Store
    peer: Store
    unstorable: JsonObject | None = None

    def bad(self) -> JsonObject:
        assert self.unstorable is not None
        return self.unstorable

    async def apply(self, *operations: Operation) -> list[Result]:
        results = await self.store.apply(operations)
        assert len(results) == len(operations)
        return results

    async def outcome(self, operation: Operation) -> Outcome:
        (result,) = await self.apply(operation)
        assert isinstance(result, Applied | Refused)
        return result

    async def applied(self, operation: Operation) -> Applied:
        outcome = await self.outcome(operation)
        assert isinstance(outcome, Applied), outcome
        return outcome

    async def problem(self, operation: Operation) -> Problem:
        outcome = await self.outcome(operation)
        assert isinstance(outcome, Refused), outcome
        return outcome.problem

    async def record(self, resource: Resource = NOTE) -> Record | None:
        (record,) = await self.store.read([resource])
        return record

    async def data(self, resource: Resource = NOTE) -> JsonObject | None:
        record = await self.record(resource)
        assert record is not None
        return record.data


def operation(kind: Kind, payload: JsonObject | None = None, resource: Resource = NOTE, **rest: Any) -> Operation:
    """A new operation, each accepted a little after the one before it."""
    given: dict[str, Any] = {
        "id": new_operation_id(),
        "principal": "ada",
        "fingerprint": "f0",
        "accepted_at": NOW + next(_ticks) / 1000,
    }
    return Operation(resource=resource, kind=kind, payload=payload, **(given | rest))


def create(payload: JsonObject | None = None, resource: Resource = NOTE, **rest: Any) -> Operation:
    return operation(Kind.CREATE, payload or {}, resource, **rest)


def replace_by(payload: JsonObject, resource: Resource = NOTE, **rest: Any) -> Operation:
    return operation(Kind.REPLACE, payload, resource, **rest)


def merge(patch: JsonObject, resource: Resource = NOTE, **rest: Any) -> Operation:
    return operation(Kind.MERGE, patch, resource, **rest)


def delete(resource: Resource = NOTE, **rest: Any) -> Operation:
    return operation(Kind.DELETE, None, resource, **rest)


def refusals(results: list[Result]) -> list[ProblemType | None]:
    """The problem of each, None where there is none."""
    return [result.problem.type if isinstance(result, Refused) else None for result in results]


def versions(results: list[Result]) -> list[int | None]:
    """The version that each has made, None where it made none."""
    return [result.record.version if isinstance(result, Applied) else None for result in results]
