"""Turns a batch of operations into the changes that a store must make, each guarded by a version.

A store reads the records and the known operations of the batch, plans, and writes each group on condition that the
record is still at the version that was read (optimistic concurrency). What was not written because of that is read and
planned again. So no lock is held between reading and writing, and a write that arrives late does nothing: it finds
another version, or its own id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .apply import apply, as_replayed, key_reused
from .model import Applied, Operation, Origin, Outcome, Record, Resource


@dataclass(frozen=True, slots=True)
class Known:
    """An operation that the store has seen, and what became of it."""

    fingerprint: str
    outcome: Outcome

    def answer(self, operation: Operation) -> Outcome:
        """The stored outcome, or the refusal of another request under the same id."""
        return as_replayed(self.outcome) if operation.fingerprint == self.fingerprint else key_reused(operation)


@dataclass(slots=True)
class Group:
    """What the batch does to one resource; it lands as a whole or not at all.

    base:    the version planned on, 0 where there was no record.
    record:  the record to write, None where nothing changes.
    entries: operations to remember with their outcomes, in order.
    answers: position in the batch and outcome, of all operations on the resource.
    """

    resource: Resource
    base: int
    record: Record | None = None
    entries: list[tuple[Operation, Outcome]] = field(default_factory=list)
    answers: list[tuple[int, Outcome]] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether something must be written before the answers are true."""
        return bool(self.entries)


def plan(
    batch: Sequence[tuple[int, Operation]], records: Mapping[Resource, Record], known: Mapping[str, Known]
) -> list[Group]:
    """Groups in the order of their resources, so that every batch takes locks in the same order.

    batch: operations with their positions; records and known: what the store has of them.
    """
    groups: dict[Resource, Group] = {}
    decided: dict[str, Known] = {}
    for position, operation in batch:
        resource = operation.resource
        group = groups.get(resource)
        if group is None:
            before = records.get(resource)
            group = groups[resource] = Group(resource, before.version if before else 0)
        group.answers.append((position, _decide(group, records.get(resource), operation, known, decided)))
    return [groups[resource] for resource in sorted(groups)]


def remembered(operation: Operation) -> bool:
    """Whether the operation can come again, so that even a refusal of it must be stored."""
    return operation.keyed or operation.origin in (Origin.HELD, Origin.WITHDRAWN)


def _decide(
    group: Group,
    before: Record | None,
    operation: Operation,
    known: Mapping[str, Known],
    decided: dict[str, Known],
) -> Outcome:
    """decided: what this batch has made known so far."""
    seen = decided.get(operation.id) or known.get(operation.id)
    if seen is not None:
        return seen.answer(operation)
    outcome = apply(group.record or before, operation)
    if isinstance(outcome, Applied):
        group.record = outcome.record
    if isinstance(outcome, Applied) or remembered(operation):
        group.entries.append((operation, outcome))
        decided[operation.id] = Known(operation.fingerprint, outcome)
    return outcome
