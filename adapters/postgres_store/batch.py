"""Applies a batch on one connection: look, plan, write; what did not land again, and the culprit of an error alone."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.util import await_

from holdfast.errors import Transient, Unavailable
from holdfast.operations.model import Fault, Kind, Operation, Outcome, Problem, ProblemType, Refused, Resource, Result
from holdfast.operations.plan import Group, plan, remembered

from . import errors, rows, statements
from .queries import execute

Pending = list[tuple[int, Operation]]

# Seconds between two tries for records that others are changing, at random up to this: who waits longer loses more.
_PAUSE = 0.004
# Characters of a statement's documents. A deadline that ends a larger batch leaves what it has done so far done.
_LARGEST = 8_000_000


class _TooMuch(Exception):
    """The documents of a batch are too large for one statement; a half of it may do."""


def apply_batch(connection: Connection, operations: Sequence[Operation], patience: float) -> list[Result]:
    """The result of each operation, in order. Raises Transient for the whole batch.

    patience: seconds to go on trying for records that others have locked or keep changing.
    """
    results = _Batch(connection, patience).settle(list(enumerate(operations)))
    return [results[position] for position in range(len(operations))]


class _Batch:
    def __init__(self, connection: Connection, patience: float) -> None:
        self._connection = connection
        self._patience = patience

    def settle(self, pending: Pending) -> dict[int, Result]:
        try:
            return self._rounds(pending)
        except Transient:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost the neighbours
            return self._isolate(pending, error)

    # All goes well, sooner or later

    def _rounds(self, pending: Pending) -> dict[int, Result]:
        """Look, plan and write until all have landed."""
        # These records are new in all likelihood, so that the first try goes without looking at them.
        unseen = frozenset(operation.resource for _, operation in pending if operation.kind is Kind.CREATE)
        results = self._round(pending, unseen)
        until, pause = time.monotonic() + self._patience, 0.0
        while left := [item for item in pending if item[0] not in results]:
            await_(asyncio.sleep(random.uniform(0, pause)))  # noqa: S311
            results |= self._round(left, frozenset())
            if time.monotonic() > until:
                return {position: Fault(_taken(operation.resource)) for position, operation in left} | results
            pause = _PAUSE
        return results

    def _round(self, pending: Pending, unseen: frozenset[Resource]) -> dict[int, Result]:
        groups = self._plan(pending, unseen)
        landed = self._write([group for group in groups if group.changes])
        settled = (group for group in groups if not group.changes or group.resource in landed)
        return {position: outcome for group in settled for position, outcome in group.answers}

    def _plan(self, pending: Pending, unseen: frozenset[Resource]) -> list[Group]:
        """unseen: resources that were not looked at and are taken to be new.

        Whether they are shows when the record is added. A plan that adds none for such a resource proves nothing, and
        is dropped: the next round looks.
        """
        found = self._look([operation for _, operation in pending if operation.resource not in unseen])
        groups = plan(pending, found.records, found.known)
        return [group for group in groups if group.record is not None or group.resource not in unseen]

    def _look(self, operations: Sequence[Operation]) -> rows.Found:
        if not operations:
            return rows.Found({}, {})
        ids = rows.encode([operation.id for operation in operations])
        keys = rows.keys({operation.resource for operation in operations})
        return rows.found(execute(self._connection, statements.LOOK, ids=ids, keys=keys), operations)

    def _write(self, groups: list[Group]) -> set[Resource]:
        """Write the groups; return the resources of those that landed. A group lands as a whole or not at all.

        One does not land if somebody else has changed its record since it was planned.
        """
        if not groups:
            return set()
        documents = rows.writes(groups)
        if sum(map(len, documents.values())) > _LARGEST and sum(len(group.entries) for group in groups) > 1:
            raise _TooMuch
        try:
            found = execute(self._connection, statements.WRITE, **documents)
        except Exception as error:
            if not errors.outrun(error):
                raise
            return set()
        unguarded = {group.resource for group in groups if group.record is None}
        return unguarded | {Resource(collection, id_) for collection, id_ in found}

    # Something is wrong with one of them

    def _isolate(self, pending: Pending, error: Exception) -> dict[int, Result]:
        """Find whose error it is, by settling halves; operations on one resource are settled one by one, in order."""
        if len(pending) == 1:
            ((position, operation),) = pending
            return {position: self._culprit(operation, error)}
        resources = sorted({operation.resource for _, operation in pending})
        if len(resources) == 1:
            return self._one_by_one(pending)
        first = frozenset(resources[: len(resources) // 2])
        halves = ([item for item in pending if (item[1].resource in first) is side] for side in (True, False))
        return {position: result for half in halves for position, result in self.settle(half).items()}

    def _one_by_one(self, pending: Pending) -> dict[int, Result]:
        """In order, up to a Fault: those behind it are not tried and have the same."""
        results: dict[int, Result] = {}
        last: Result | None = None
        for position, operation in pending:
            if not isinstance(last, Fault):
                last = self.settle([(position, operation)])[position]
            results[position] = last
        return results

    def _culprit(self, operation: Operation, error: Exception) -> Result:
        if not errors.unstorable(error):
            return Fault(error)
        detail = f"the store does not take this data: {errors.describe(error)}"
        refused = Refused(Problem(ProblemType.UNSTORABLE, detail))
        try:
            return self._remember(operation, refused) if remembered(operation) else refused
        except Transient:
            raise
        except Exception as its_own:  # noqa: BLE001 - its id, for one, is not a UUID
            return Fault(its_own)

    def _remember(self, operation: Operation, refused: Refused) -> Outcome:
        """Store the refusal, unless somebody else has decided the operation meanwhile; the outcome that is stored."""
        if self._write([Group(operation.resource, 0, entries=[(operation, refused)])]):
            return refused
        ids = rows.encode([operation.id])
        known = rows.found(execute(self._connection, statements.LOOK, ids=ids, keys="[]"), [operation]).known
        return known[operation.id].answer(operation)


def _taken(resource: Resource) -> Unavailable:
    return Unavailable(f"{resource} is locked by somebody else, or too many compete for it")
