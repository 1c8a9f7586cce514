"""What an operation does to a record: pure, the same for every store."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .model import (
    Applied,
    Effect,
    JsonObject,
    Kind,
    Operation,
    Origin,
    Outcome,
    Problem,
    ProblemType,
    Record,
    Refused,
)


def apply(record: Record | None, operation: Operation) -> Outcome:
    """The outcome of `operation` on the record as it stands (None: there never was one).

    Times of the record come from the operation, so that the outcome is the same whenever it is applied.
    """
    problem = _refusal(record, operation)
    if problem is not None:
        return Refused(problem)
    created = record is None or record.deleted
    made = Effect.CREATED if created else Effect.UPDATED
    at = operation.accepted_at
    return Applied(
        Effect.DELETED if operation.kind is Kind.DELETE else made,
        Record(
            operation.resource,
            version=1 if record is None else record.version + 1,
            data=data_after(record, operation),
            created_at=at if record is None or created else record.created_at,
            updated_at=at,
            ungated_at=_mark(record, operation),
        ),
    )


def as_replayed(outcome: Outcome) -> Outcome:
    """The outcome of an earlier request, as the answer to its repeat."""
    return replace(outcome, replayed=True)


def key_reused(operation: Operation) -> Refused:
    return Refused(
        Problem(
            ProblemType.KEY_REUSED,
            f"the Idempotency-Key of this request was used before, for another one (operation {operation.id})",
        )
    )


def merge_patch(target: Any, patch: JsonObject) -> dict[str, Any]:
    """RFC 7396, section 2."""
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = merge_patch(merged.get(name), value)
        else:
            merged[name] = value
    return merged


def data_after(record: Record | None, operation: Operation) -> JsonObject | None:
    """The record's data after the operation, which is taken to be applied; None if that deletes the record."""
    if operation.kind is Kind.MERGE and record is not None:
        return merge_patch(record.data, operation.payload or {})
    return None if operation.kind is Kind.DELETE else operation.payload


def _refusal(record: Record | None, operation: Operation) -> Problem | None:
    resource = operation.resource
    if operation.origin is Origin.WITHDRAWN:
        return Problem(ProblemType.CANCELLED, "the operation was cancelled before it took effect")
    if _superseded(record, operation):
        return Problem(ProblemType.SUPERSEDED, f"{resource} was written directly after this operation was accepted")
    version = None if record is None or record.deleted else record.version
    if operation.precondition is not None and not operation.precondition.holds(version):
        return Problem(
            ProblemType.PRECONDITION_FAILED,
            f"{resource} is at version {version}" if version else f"{resource} does not exist",
        )
    if operation.kind is Kind.CREATE and version is not None:
        return Problem(ProblemType.ALREADY_EXISTS, f"{resource} exists already, at version {version}")
    if operation.kind in (Kind.MERGE, Kind.DELETE) and version is None:
        return Problem(ProblemType.NOT_FOUND, f"{resource} does not exist")
    return None


def _superseded(record: Record | None, operation: Operation) -> bool:
    return (
        operation.origin is not Origin.UNGATED
        and record is not None
        and record.ungated_at is not None
        and operation.accepted_at < record.ungated_at
    )


def _mark(record: Record | None, operation: Operation) -> float | None:
    before = None if record is None else record.ungated_at
    if operation.origin is not Origin.UNGATED:
        return before
    return operation.accepted_at if before is None else max(before, operation.accepted_at)
