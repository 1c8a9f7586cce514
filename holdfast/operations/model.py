"""The values that the engine moves: operations, records, outcomes, jobs. All are immutable.

Times are seconds since the epoch (UTC) as float, rounded to milliseconds where they are made.
A payload or a record's data is a JSON object in Python's terms; whoever holds one never changes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple

JsonObject = Mapping[str, Any]


class Resource(NamedTuple):
    """The ordering key of an operation, written `collection/id`. A collection holds no slash."""

    collection: str
    id: str

    def __str__(self) -> str:
        return f"{self.collection}/{self.id}"

    @classmethod
    def parse(cls, text: str) -> Resource:
        collection, _, id_ = text.partition("/")
        return cls(collection, id_)


class Kind(StrEnum):
    CREATE = "create"
    REPLACE = "replace"
    MERGE = "merge"
    DELETE = "delete"


class Origin(StrEnum):
    """By which way an operation comes to the store.

    GATED:     at once; the ledger has said that nothing waits before it.
    UNGATED:   at once, while the ledger could not be asked. Its effect leaves a mark on the record (`ungated_at`).
    HELD:      replayed from the ledger.
    WITHDRAWN: to be refused for good if it has not taken effect: its client has cancelled it.

    A HELD operation is refused as superseded if the record has a mark made after it was accepted. So is a GATED one:
    its first try may have been given up and held, and a later write may have passed it meanwhile.
    """

    GATED = "gated"
    UNGATED = "ungated"
    HELD = "held"
    WITHDRAWN = "withdrawn"


Versions = tuple[int, ...] | Literal["*"] | None


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must be true of the record's version (RFC 9110, 13.1); `*` means any version at all."""

    match: Versions = None
    none_match: Versions = None

    def holds(self, version: int | None) -> bool:
        """version: the current one, None where there is no record."""
        return (self.match is None or _listed(self.match, version)) and not (
            self.none_match is not None and _listed(self.none_match, version)
        )


def _listed(versions: tuple[int, ...] | Literal["*"], version: int | None) -> bool:
    return version is not None and (versions == "*" or version in versions)


@dataclass(frozen=True, slots=True)
class Operation:
    """One requested change.

    id:          a UUID in its canonical text, fixed before the first attempt.
    principal:   who asked.
    payload:     the record's data, or the merge patch; None for a delete.
    fingerprint: hex digest of method, path, precondition and body: tells a repeat from another request.
    keyed:       the id comes from a client's Idempotency-Key, so that it may be repeated.
    traceparent: the request's place in its trace (W3C Trace Context), carried along unread.
    """

    id: str
    principal: str
    resource: Resource
    kind: Kind
    payload: JsonObject | None
    fingerprint: str
    accepted_at: float
    precondition: Precondition | None = None
    keyed: bool = False
    origin: Origin = Origin.GATED
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A stored document, or the tombstone of a deleted one (`data` is None), from whose version a new one goes on.

    ungated_at: when the last UNGATED operation that changed it was accepted, None if there was none.
    """

    resource: Resource
    version: int
    data: JsonObject | None
    created_at: float
    updated_at: float
    ungated_at: float | None = None

    @property
    def deleted(self) -> bool:
        return self.data is None


class Effect(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


class ProblemType(StrEnum):
    """Definite refusals of an operation; the values are the stable names that clients see."""

    NOT_FOUND = "not-found"
    ALREADY_EXISTS = "already-exists"
    PRECONDITION_FAILED = "precondition-failed"
    SUPERSEDED = "superseded"
    KEY_REUSED = "idempotency-key-reused"
    UNSTORABLE = "unstorable"
    CANCELLED = "operation-cancelled"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an operation was refused. detail: a sentence for its client."""

    type: ProblemType
    detail: str


@dataclass(frozen=True, slots=True)
class Applied:
    """The operation took effect. record: as it stood right after (a tombstone after a delete)."""

    effect: Effect
    record: Record
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """A definite no: the operation has had no effect and never will."""

    problem: Problem
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Applying it failed, without effect, though the store is well: by the operation's own fault, or a bug of ours."""

    error: Exception


Outcome = Applied | Refused
Result = Applied | Refused | Fault


class State(StrEnum):
    """States of a job: queued, running or retrying, and then one of the settled ones.

    A settled job stays as it is, except that an operator may have a dead one retried.
    """

    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEAD = "dead"
    CANCELLED = "cancelled"

    @property
    def settled(self) -> bool:
        """Whether nothing more happens to the job by itself."""
        return self in (State.SUCCEEDED, State.FAILED, State.DEAD, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Job:
    """A held operation and what became of it so far.

    attempts:        failures by the operation's own fault; an outage never counts.
    next_attempt_at: the earliest next attempt, None when settled.
    unsure:          an attempt, or an earlier request with its key, may have reached the store without our knowing.
    outcome:         set when succeeded or failed.
    """

    operation: Operation
    state: State
    attempts: int = 0
    next_attempt_at: float | None = None
    last_error: str | None = None
    settled_at: float | None = None
    outcome: Outcome | None = None
    unsure: bool = False
