"""Applies a batch on one connection: look, plan, write; what did not land again, and the culprit of an error alone."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, TextClause

from holdfast.errors import Transient, Unavailable
from holdfast.operations.model import Fault, Kind, Operation, Problem, ProblemType, Refused, Resource, Result
from holdfast.operations.plan import Group, plan, remembered

from . import errors, rows, statements
from .queries import execute

Pending = list[tuple[int, Operation]]

# Each round at least one of those who compete for a record gets through.
_ROUNDS = 100
_ROUNDS_WITHOUT_LOCKED = 3


def apply_batch(connection: Connection, operations: Sequence[Operation]) -> list[Result]:
    results = _settle(connection, list(enumerate(operations)))
    return [results[position] for position in range(len(operations))]


def _settle(connection: Connection, pending: Pending) -> dict[int, Result]:
    try:
        return _rounds(connection, pending)
    except Transient:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost the neighbours
        return _isolate(connection, pending, error)


def _rounds(connection: Connection, pending: Pending) -> dict[int, Result]:
    """Look, plan and write until all have landed."""
    results: dict[int, Result] = {}
    skip, statement, rounds = _begun_by_create(pending), statements.WRITE, _ROUNDS
    while pending and rounds:
        rounds -= 1
        groups = plan(pending, *_look(connection, [one for _, one in pending if one.resource not in skip]))
        try:
            landed = _write(connection, statement, [group for group in groups if group.changes])
        except errors.Locked:
            if statement is statements.WRITE_UNLOCKED:
                raise
            landed, statement, rounds = set(), statements.WRITE_UNLOCKED, _ROUNDS_WITHOUT_LOCKED
        for group in groups:
            if not group.changes or group.resource in landed:
                results.update(group.answers)
        pending = [item for item in pending if item[0] not in results]
        skip = frozenset()
    return results | {position: Fault(_taken(one.resource)) for position, one in pending}


def _begun_by_create(pending: Pending) -> frozenset[Resource]:
    """Resources that are new in all likelihood: what is written for them lands only if they are."""
    first = {one.resource: one for _, one in reversed(pending)}
    return frozenset(resource for resource, one in first.items() if one.kind is Kind.CREATE)


def _look(connection: Connection, operations: Sequence[Operation]) -> rows.Found:
    if not operations:
        return rows.Found({}, {})
    ids = rows.encode([operation.id for operation in operations])
    keys = rows.keys({operation.resource for operation in operations})
    return rows.found(execute(connection, statements.LOOK, ids=ids, keys=keys), operations)


def _write(connection: Connection, statement: TextClause, groups: list[Group]) -> set[Resource]:
    """Write what has not been outrun, and return it: resources whose groups have landed as a whole."""
    if not groups:
        return set()
    try:
        found = execute(connection, statement, **rows.writes(groups))
    except Exception as error:
        if not errors.outrun(error):
            raise
        return set()
    unguarded = {group.resource for group in groups if group.record is None}
    return unguarded | {Resource(collection, id_) for collection, id_ in found}


def _taken(resource: Resource) -> Unavailable:
    return Unavailable(f"{resource} is locked by somebody else, or too many compete for it")


def _isolate(connection: Connection, pending: Pending, error: Exception) -> dict[int, Result]:
    """Find whose error it is by halves; operations on one resource go one by one, up to a Fault."""
    if len(pending) == 1:
        ((position, operation),) = pending
        return {position: _culprit(connection, operation, error)}
    resources = sorted({operation.resource for _, operation in pending})
    if len(resources) > 1:
        first = frozenset(resources[: len(resources) // 2])
        return _settle(connection, [item for item in pending if item[1].resource in first]) | _settle(
            connection, [item for item in pending if item[1].resource not in first]
        )
    return _one_by_one(connection, pending)


def _one_by_one(connection: Connection, pending: Pending) -> dict[int, Result]:
    results: dict[int, Result] = {}
    last: Result | None = None
    for position, operation in pending:
        if not isinstance(last, Fault):
            last = _settle(connection, [(position, operation)])[position]
        results[position] = last
    return results


def _culprit(connection: Connection, operation: Operation, error: Exception) -> Result:
    if not errors.unstorable(error):
        return Fault(error)
    refused = Refused(Problem(ProblemType.UNSTORABLE, f"the store does not take this data: {errors.describe(error)}"))
    if not remembered(operation):
        return refused
    group = Group(operation.resource, 0, entries=[(operation, refused)])
    if _write(connection, statements.WRITE, [group]):
        return refused
    ids = rows.encode([operation.id])
    known = rows.found(execute(connection, statements.LOOK, ids=ids, keys="[]"), [operation]).known
    return known[operation.id].answer(operation)
