"""Clients of the engine itself, on a clock that a test moves: what they see is written down as the checker reads it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from chaos.history import Answer, Event, Final, Healed, Invoke, JobSeen, Lost, Seen
from chaos.wire import Change
from holdfast.errors import HoldfastError, OutcomeUnknown, Overloaded, TimedOut
from holdfast.operations.identity import fingerprint, keyed_operation_id
from holdfast.operations.model import (
    Applied,
    Effect,
    Job,
    Kind,
    Operation,
    Outcome,
    Precondition,
    ProblemType,
    Record,
    Resource,
)
from holdfast.operations.read import Reading
from holdfast.operations.write import Accepted
from holdfast.testing.clock import FakeClock
from holdfast.timeout import abandon_after

from .engine import World

_APPLIED = {Effect.CREATED: 201, Effect.UPDATED: 200, Effect.DELETED: 204}
_REFUSED = {
    ProblemType.NOT_FOUND: 404,
    ProblemType.PRECONDITION_FAILED: 412,
    ProblemType.KEY_REUSED: 422,
    ProblemType.UNSTORABLE: 422,
}


class Clients:
    """events: what they saw so far. patience: seconds until one takes its request for lost."""

    def __init__(self, clock: FakeClock, *, patience: float = 5.0) -> None:
        self.events: list[Event] = []
        self._clock = clock
        self._patience = patience
        self._requests = 0

    async def send(self, world: World, change: Change, *, hold_at_once: bool = False) -> Answer | None:
        """One request with its answer; None when none came."""
        invoke = self._invoke(change)
        work = self._read(world, change) if change.kind == "read" else self._write(world, change, hold_at_once)
        try:
            told = await abandon_after(self._patience, work, clock=self._clock)
        except TimedOut as error:
            self.events.append(Lost(at=self._now(), request=invoke.request, error=str(error)))
            return None
        except asyncio.CancelledError:
            self.events.append(Lost(at=self._now(), request=invoke.request, error="the process has died"))
            raise
        answer = Answer(at=self._now(), request=invoke.request, **told)
        self.events.append(answer)
        return answer

    async def look(self, world: World, id_: str) -> JobSeen | None:
        """Poll a job."""
        try:
            job = await world.jobs.get(id_)
        except HoldfastError:
            return None
        seen = JobSeen(at=self._now(), job=id_, **(_job(job) if job is not None else {"state": "forgotten"}))
        self.events.append(seen)
        return seen

    def heal(self) -> None:
        self.events.append(Healed(at=self._now()))

    async def look_at_the_end(self, world: World, resources: Iterable[str]) -> None:
        """Every record as it really stands."""
        for name in resources:
            record = await world.record(Resource.parse(name))
            seen = None if record is None or record.deleted else _seen(record)
            self.events.append(Final(at=self._now(), resource=name, seen=seen))

    async def _write(self, world: World, change: Change, hold_at_once: bool) -> dict[str, Any]:
        try:
            answer = await world.writer.write(self._operation(change), hold_at_once=hold_at_once)
        except HoldfastError as error:
            return _error(error)
        if isinstance(answer, Accepted):
            return {"status": 202, "job": answer.job.operation.id, "resource": str(answer.job.operation.resource)}
        return _outcome(answer)

    async def _read(self, world: World, change: Change) -> dict[str, Any]:
        try:
            reading = await world.reader.get(Resource.parse(str(change.resource)))
        except HoldfastError as error:
            return _error(error)
        return _reading(reading)

    def _invoke(self, change: Change) -> Invoke:
        self._requests += 1
        invoke = replace(change.invoke(self._requests, "c"), at=self._now())
        self.events.append(invoke)
        return invoke

    def _operation(self, change: Change) -> Operation:
        condition = Precondition(
            match=(change.if_match,) if change.if_match else None, none_match="*" if change.if_absent else None
        )
        return Operation(
            id=keyed_operation_id("anonymous", change.key or str(change.tag)),
            principal="anonymous",
            resource=Resource.parse(str(change.resource)),
            kind=Kind(change.kind),
            payload=json.loads(change.body()) if change.body() else None,
            fingerprint=fingerprint(change.method, change.path, repr(condition), change.body()),
            accepted_at=self._clock.time() + len(self.events) / 1e6,
            precondition=condition if change.if_match or change.if_absent else None,
            keyed=change.key is not None,
        )

    def _now(self) -> float:
        """Of two events of the same moment the earlier one comes before the other."""
        return self._clock.monotonic() + len(self.events) / 1e6


def _error(error: HoldfastError) -> dict[str, Any]:
    problem = "outcome-unknown" if isinstance(error, OutcomeUnknown) else "unavailable"
    return {"status": 503, "problem": "overloaded" if isinstance(error, Overloaded) else problem, "retry_after": 1.0}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    if not isinstance(outcome, Applied):
        return {"status": _REFUSED.get(outcome.problem.type, 409), "problem": str(outcome.problem.type)}
    told: dict[str, Any] = {"status": _APPLIED[outcome.effect]}
    return told if outcome.record.deleted else told | _shown(outcome.record)


def _reading(reading: Reading) -> dict[str, Any]:
    told: dict[str, Any] = {"status": 404} if reading.record is None else {"status": 200, **_shown(reading.record)}
    pending = reading.pending is not None
    return told | {
        "stale": reading.cached_at is not None,
        "pending": pending,
        "unknown": not pending and not reading.pending_known,
    }


def _job(job: Job) -> dict[str, Any]:
    told = {"state": str(job.state), "attempts": job.attempts}
    result = {} if job.outcome is None else _outcome(job.outcome)
    return told | {name: value for name, value in result.items() if name != "resource"}


def _shown(record: Record) -> dict[str, Any]:
    return {"resource": str(record.resource), "version": record.version, "seen": _seen(record)}


def _seen(record: Record) -> Seen:
    shown = {"collection": record.resource.collection, "id": record.resource.id}
    return Seen.read({**shown, "version": record.version, "data": record.data})
