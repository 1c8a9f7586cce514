"""What a history says, sorted by what it is about: operations, resources with their reads, and jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from ..history import Answer, Event, Final, Invoke, JobSeen, Seen


class Outcome(Enum):
    """What its client was told, whether answer or job said it."""

    EFFECT = "took effect"
    NONE = "had no effect"
    UNSURE = "is unsure"


@dataclass(slots=True, eq=False)
class Operation:
    """One logical change, all tries together.

    tries:    requests that may have had an effect. promise: the first answer that acknowledged it.
    proof:    what told its outcome. shown: the first document with it.
    accepted: it was answered 202.
    """

    first: Invoke
    tag: str
    resource: str | None
    outcome: Outcome = Outcome.UNSURE
    version: int | None = None
    tries: int = 0
    promise: Event | None = None
    proof: Answer | JobSeen | None = None
    shown: Event | None = None
    accepted: Answer | None = None
    job: str | None = None

    @property
    def kind(self) -> str:
        return self.first.kind

    @property
    def possible(self) -> bool:
        return self.outcome is not Outcome.NONE and (self.tries > 0 or self.shown is not None)

    @property
    def forgotten(self) -> bool:
        """Whether it was held in a ledger that was emptied, its key with it, and not told of since."""
        return self.accepted is not None and self.promise is None and self.outcome is Outcome.UNSURE

    @property
    def evidence(self) -> tuple[Event | None, ...]:
        return self.first, self.promise, self.proof

    def __str__(self) -> str:
        return f"{self.kind} {self.tag}"


class Told(NamedTuple):
    """The newest version of a record that anybody was told of."""

    version: int
    event: Event | None


@dataclass(slots=True)
class Promise:
    """void: what was promised was lost with the ledger before it was kept."""

    operation: Operation
    event: Event
    void: bool = False


class Read(NamedTuple):
    """What was known when it was sent.

    told: by anybody. cached: by the cache, since it was last broken; None when it has been broken since.
    promised: how many of the resource's promises had been given.
    """

    invoke: Invoke
    answer: Answer
    told: Told
    cached: Told | None
    promised: int


class Shown(NamedTuple):
    seen: Seen
    event: Event


@dataclass(slots=True)
class Resource:
    """operations: in the order of their first sending. promised: in the order of time. documents: by version.

    cached: what the cache has shown, by how often it had been broken before.
    """

    name: str
    operations: list[Operation] = field(default_factory=list)
    promised: list[Promise] = field(default_factory=list)
    documents: dict[int, Shown] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    told: Told = field(default_factory=lambda: Told(0, None))
    cached: dict[int, Told] = field(default_factory=dict)
    final: Final | None = None


@dataclass(slots=True)
class Job:
    """ended: when it was first seen settled."""

    operation: Operation
    last: JobSeen | None = None
    ended: JobSeen | None = None
