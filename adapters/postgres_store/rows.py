"""The engine's values as the rows that the statements take and give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from holdfast.operations.model import (
    Applied,
    Effect,
    JsonObject,
    Kind,
    Operation,
    Outcome,
    Problem,
    ProblemType,
    Record,
    Refused,
    Resource,
)
from holdfast.operations.plan import Group, Known

from .errors import Unencodable


class _RecordRow(msgspec.Struct, omit_defaults=True):
    collection: str
    id: str
    version: int
    created_at: float
    updated_at: float
    data: JsonObject | None = None
    ungated_at: float | None = None
    base: int = 0


class _OperationRow(msgspec.Struct, omit_defaults=True):
    """collection, record: what must have landed for the operation to be remembered. data: of a merge."""

    id: str
    fingerprint: str
    collection: str | None = None
    record: str | None = None
    effect: str | None = None
    version: int | None = None
    data: JsonObject | None = None
    created_at: float | None = None
    updated_at: float | None = None
    ungated_at: float | None = None
    problem: str | None = None
    detail: str | None = None


class Found(NamedTuple):
    """What the store has of a batch."""

    records: Mapping[Resource, Record]
    known: Mapping[str, Known]


def encode(rows: object) -> str:
    """Raises Unencodable for what JSON cannot say."""
    try:
        return msgspec.json.encode(rows).decode()
    except (ValueError, RecursionError) as error:
        raise Unencodable(str(error)) from error


def keys(resources: Iterable[Resource]) -> str:
    return encode([{"collection": resource.collection, "id": resource.id} for resource in resources])


def writes(groups: Sequence[Group]) -> dict[str, str]:
    """The parameters of WRITE."""
    changed = [_record_row(group.record, group.base) for group in groups if group.record and group.base]
    added = [_record_row(group.record, 0) for group in groups if group.record and not group.base]
    operations = [_operation_row(group, *entry) for group in groups for entry in group.entries]
    return {"changed": encode(changed), "added": encode(added), "operations": encode(operations)}


def record(row: Sequence[Any]) -> Record:
    collection, id_, version, data, created_at, updated_at, ungated_at, *_ = row
    return Record(Resource(collection, id_), version, data, created_at, updated_at, ungated_at)


def found(rows: Iterable[Sequence[Any]], operations: Iterable[Operation]) -> Found:
    """What the rows of a look say.

    operations: those looked for. The outcome of a create or replace is stored without its data, and gets it from here.
    """
    asked = {(operation.id, operation.fingerprint): operation for operation in operations}
    records: dict[Resource, Record] = {}
    known: dict[str, Known] = {}
    for row in rows:
        fingerprint = row[7]
        if fingerprint is None:
            stored = record(row)
            records[stored.resource] = stored
        else:
            known[row[0]] = Known(fingerprint, _outcome(row, asked.get((row[0], fingerprint))))
    return Found(records, known)


def _record_row(record: Record, base: int) -> _RecordRow:
    (collection, id_), version, data, ungated_at = record.resource, record.version, record.data, record.ungated_at
    return _RecordRow(collection, id_, version, record.created_at, record.updated_at, data, ungated_at, base)


def _operation_row(group: Group, operation: Operation, outcome: Outcome) -> _OperationRow:
    row = _OperationRow(operation.id, operation.fingerprint)
    if group.record is not None:
        row.collection, row.record = group.resource
    if isinstance(outcome, Refused):
        row.problem, row.detail = outcome.problem.type, outcome.problem.detail
        return row
    record = outcome.record
    row.effect, row.version = outcome.effect, record.version
    row.created_at, row.updated_at, row.ungated_at = record.created_at, record.updated_at, record.ungated_at
    row.data = record.data if operation.kind is Kind.MERGE else None
    return row


def _outcome(row: Sequence[Any], operation: Operation | None) -> Outcome:
    """operation: the one that the row speaks of, None if the batch has only another under its id."""
    _, _, version, data, created_at, updated_at, ungated_at, _, effect, problem, detail = row
    if effect is None or operation is None:
        return Refused(Problem(ProblemType(problem or ProblemType.KEY_REUSED), detail or ""))
    data = data if operation.kind is Kind.MERGE else operation.payload
    return Applied(Effect(effect), Record(operation.resource, version, data, created_at, updated_at, ungated_at))
