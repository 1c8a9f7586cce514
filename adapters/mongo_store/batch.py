"""Applies a batch: look, plan, write; what did not land again, and what is wrong with one operation alone."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from pymongo.asynchronous.client_session import AsyncClientSession

from holdfast.errors import OutcomeUnknown, Transient, Unavailable
from holdfast.operations.model import Fault, Kind, Operation, Problem, ProblemType, Refused, Resource, Result
from holdfast.operations.plan import Group, plan, remembered

from . import database, documents
from .client import Database
from .database import Found, Look
from .documents import Held, Write
from .errors import Outrun, Unstorable

Pending = list[tuple[int, Operation]]

# Seconds between two tries for records that others are changing, at random up to this: who waits longer loses more.
_PAUSE = 0.004


class Batch:
    """May be run again after a connection was lost.

    patience: seconds to go on trying for records that others keep changing.
    """

    def __init__(self, db: Database, operations: Sequence[Operation], patience: float) -> None:
        self._db = db
        self._operations = operations
        self._patience = patience
        self._session: AsyncClientSession | None = None
        self._sent = False
        self._closed = False

    def close(self) -> None:
        """Send nothing more: the caller has gone, with what was known by then."""
        self._closed = True

    async def run(self, session: AsyncClientSession) -> list[Result]:
        self._session = session
        results = await self._settle(list(enumerate(self._operations)))
        return [results[position] for position in range(len(self._operations))]

    def meaning(self, error: Transient) -> Transient:
        """What an error means for the whole batch: until a write was sent nothing has happened, then anything may."""
        kind = OutcomeUnknown if self._sent else Unavailable
        return error if isinstance(error, kind) else kind(str(error))

    # All goes well, sooner or later

    async def _settle(self, pending: Pending) -> dict[int, Result]:
        try:
            return await self._rounds(pending)
        except Transient:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost the neighbours
            return await self._isolate(pending, error)

    async def _rounds(self, pending: Pending) -> dict[int, Result]:
        """Look, plan and write until all have landed."""
        until = time.monotonic() + self._patience
        results = await self._round(pending, trusting=not self._sent)
        while left := [item for item in pending if item[0] not in results]:
            await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311
            results |= await self._round(left, trusting=False)
            if time.monotonic() > until:
                return {position: Fault(_taken(operation.resource)) for position, operation in left} | results
        return results

    async def _round(self, pending: Pending, *, trusting: bool) -> dict[int, Result]:
        """One look, plan and write; results of what landed or is settled.

        trusting: records to be created are taken to be new, and not looked at. Whether they are shows when they are
                  written. A plan that writes none for such a resource proves nothing, and is dropped.
        """
        unseen = frozenset(one.resource for _, one in pending if trusting and one.kind is Kind.CREATE)
        found = await self._look([one for _, one in pending], unseen, trusting=trusting)
        groups = plan(pending, found.records, found.known)
        groups = [group for group in groups if group.record is not None or group.resource not in unseen]
        failed = await self._write([group for group in groups if group.changes], found)
        landed = (group for group in groups if group.resource not in failed)
        results: dict[int, Result] = {position: outcome for group in landed for position, outcome in group.answers}
        for resource, error in failed.items():
            if not isinstance(error, Outrun):
                results |= await self._isolate([item for item in pending if item[1].resource == resource], error)
        return results

    async def _look(
        self, operations: Sequence[Operation], unseen: frozenset[Resource] = frozenset(), *, trusting: bool
    ) -> Found:
        """What the store has of these operations and their records; records of `unseen` are not looked at.

        trusting: look for an operation with its record only. It can be elsewhere, if it was applied to another record;
                  then the write of it fails by the unique index, and the next round looks everywhere.
        """
        look = Look(self._db, self._session, operations)
        await look.at_documents({one.resource for one in operations} - unseen)
        if not trusting:
            await look.at_operations()
        await look.at_moved(every=not trusting)
        return look.found

    async def _write(self, groups: Sequence[Group], found: Found) -> dict[Resource, Exception]:
        """Write the groups; return for each that has not landed why."""
        failed: dict[Resource, Exception] = {}
        writes: list[Write] = []
        for group in groups:
            try:
                writes.append(documents.write(group, found.held.get(group.resource, Held())))
            except Exception as error:  # noqa: BLE001 - of this group alone
                failed[group.resource] = error
        return failed | (await self._send(writes) if writes else {})

    async def _send(self, writes: Sequence[Write]) -> dict[Resource, Exception]:
        try:
            if moves := [each.move for each in writes if each.move]:
                await database.loosen(self._db, self._session, moves)
                await database.copy(self._db, self._session, moves)
            if self._closed:
                raise Unavailable("given up before it was sent")
            self._sent = True
            errors = await database.write(self._db, self._session, writes)
        except Outrun as error:
            return {each.resource: error for each in writes}
        return {writes[index].resource: error for index, error in errors.items()}

    # Something is wrong with one of them

    async def _isolate(self, pending: Pending, error: Exception) -> dict[int, Result]:
        """Find whose error it is, by settling halves; operations on one resource are settled one by one, in order."""
        if len(pending) == 1:
            ((position, operation),) = pending
            return {position: await self._culprit(operation, error)}
        resources = sorted({operation.resource for _, operation in pending})
        if len(resources) == 1:
            return await self._one_by_one(pending)
        first = frozenset(resources[: len(resources) // 2])
        results: dict[int, Result] = {}
        for side in (True, False):
            results |= await self._settle([item for item in pending if (item[1].resource in first) is side])
        return results

    async def _one_by_one(self, pending: Pending) -> dict[int, Result]:
        """In order, up to a Fault: those behind it are not tried and have the same."""
        results: dict[int, Result] = {}
        last: Result | None = None
        for position, operation in pending:
            if not isinstance(last, Fault):
                last = (await self._settle([(position, operation)]))[position]
            results[position] = last
        return results

    async def _culprit(self, operation: Operation, error: Exception) -> Result:
        if not isinstance(error, Unstorable):
            return Fault(error)
        refused = Refused(Problem(ProblemType.UNSTORABLE, f"the store does not take this data: {error}"))
        try:
            return await self._remember(operation, refused) if remembered(operation) else refused
        except Transient:
            raise
        except Exception as its_own:  # noqa: BLE001 - the id of its record, for one, is not Unicode
            return Fault(its_own)

    async def _remember(self, operation: Operation, refused: Refused) -> Result:
        """Store the refusal, unless somebody else has decided the operation meanwhile; the outcome that is stored."""
        until = time.monotonic() + self._patience
        while True:
            found = await self._look([operation], trusting=False)
            if operation.id in found.known:
                return found.known[operation.id].answer(operation)
            failed = await self._write([Group(operation.resource, 0, entries=[(operation, refused)])], found)
            if not failed:
                return refused
            if not isinstance(failed[operation.resource], Outrun):
                raise failed[operation.resource]
            if time.monotonic() > until:
                return Fault(_taken(operation.resource))


def _taken(resource: Resource) -> Unavailable:
    return Unavailable(f"too many compete for {resource}")
