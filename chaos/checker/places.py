"""Which operation made which version of a record, as far as answers and documents say it.

*Claims.* An answer or a job that tells its version claims it for its operation.

*Documents.* From the newest create or replace, its base, every version of a record adds one merge. So a document of
version v with m merges has its base at version v - m, and the versions after that are exactly its merges. Of two
neighbouring documents on one base, the newer one's additional merges are exactly the versions between them. This places
what was shown without having been told: alone between two documents it has a version, several have a range.

Each document is compared with its neighbour only, so the work is linear in the size of all documents.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..history import Event
from .model import Operation, Outcome, Resource, Shown
from .rules import Violation, violation


class Places:
    """by: version to operation, where that is certain. between: lowest and highest version of those shown in a range.

    covered: versions that documents tell all about; blamed: those of which a violation is told already.
    last:    the newest version known.
    """

    def __init__(self, resource: Resource, operations: Mapping[str, Operation]) -> None:
        self.by: dict[int, Operation] = {}
        self.between: dict[Operation, tuple[int, int]] = {}
        self.covered: set[int] = set()
        self.blamed: set[int] = set()
        self.violations: list[Violation] = []
        self._name = resource.name
        self._operations = operations
        for operation in resource.operations:
            if operation.outcome is Outcome.EFFECT and operation.version is not None:
                self._place(operation, operation.version, None)
        self._read([resource.documents[version] for version in sorted(resource.documents)])
        self.last = max([*self.by, *resource.documents], default=0)

    def _place(self, operation: Operation, version: int, event: Event | None) -> None:
        other = self.by.setdefault(version, operation)
        if other is not operation:
            text = f"version {version} of {self._name} was made by {other} and by {operation}"
            self._found("claim", text, *other.evidence, *operation.evidence, event)

    def _read(self, documents: list[Shown]) -> None:
        before: Shown | None = None
        for shown in documents:
            seen = shown.seen
            base = seen.version - len(seen.merges)
            if before is not None and (base <= before.seen.version or seen.base == before.seen.base):
                self._continue(before, shown)
            else:
                self._begin(shown, base)
            before = shown

    def _begin(self, shown: Shown, base: int) -> None:
        """A document on another base than the one before it."""
        seen, event = shown
        operation = self._operations.get(seen.base)
        if base < 1:
            text = f"version {seen.version} of {self._name} shows {len(seen.merges) + 1} changes"
            self._found("claim", text, event)
        elif operation is not None and self._is_here(operation, base, base, event):
            self._place(operation, base, event)
            self.covered.add(base)
            self._spread(set(seen.merges), base, None, shown)

    def _continue(self, before: Shown, shown: Shown) -> None:
        """A document that must stand on the one before it."""
        lost = set(before.seen.merges).difference(shown.seen.merges)
        if shown.seen.base != before.seen.base:
            lost = {before.seen.base}
        for tag in sorted(lost)[:1]:
            text = (
                f"{tag} is in version {before.seen.version}, and without a replace not in version {shown.seen.version}"
            )
            self._found("lost", text, *self._evidence(tag), before.event, shown.event)
        if lost:
            self.blamed.update(range(before.seen.version + 1, shown.seen.version + 1))
        else:
            new = set(shown.seen.merges).difference(before.seen.merges)
            self._spread(new, before.seen.version, before.event, shown)

    def _spread(self, new: set[str], low: int, before: Event | None, shown: Shown) -> None:
        """The merges `new` made exactly the versions above `low` up to that of the document."""
        high, event = shown.seen.version, shown.event
        between = range(low + 1, high + 1)
        self.covered.update(between)
        known = [self._operations[tag] for tag in sorted(new) if tag in self._operations]
        wrong = sum(not self._is_here(operation, low + 1, high, event) for operation in known)
        if wrong or len(known) < len(new) or not self._fits(new, low, before, shown):
            self.blamed.update(between)
            return
        unsure = [operation for operation in known if operation.version is None]
        free = [version for version in between if version not in self.by]
        if len(unsure) == len(free) == 1:
            self._place(unsure[0], free[0], event)

    def _is_here(self, operation: Operation, low: int, high: int, event: Event) -> bool:
        """Whether nothing else says that it made a version outside."""
        told = operation.version
        known = (told, told) if told is not None else self.between.setdefault(operation, (low, high))
        if low <= known[0] and known[1] <= high:
            return True
        text = f"{operation} made {_versions(*known)} of {self._name}, and is shown to have made {_versions(low, high)}"
        self._found("twice", text, *operation.evidence, operation.shown, event)
        return False

    def _fits(self, new: set[str], low: int, before: Event | None, shown: Shown) -> bool:
        """Whether all that claims one of these versions is shown, and as many merges as there are versions."""
        high, event = shown.seen.version, shown.event
        for version in range(low + 1, high + 1):
            operation = self.by.get(version)
            if operation is not None and operation.tag not in new:
                text = f"{operation} made version {version} of {self._name}, and version {high} does not show it"
                self._found("lost", text, *operation.evidence, before, event)
                return False
        if len(new) != high - low:
            text = f"{_versions(low + 1, high)} of {self._name} shows {len(new)} changes"
            self._found("claim" if len(new) > high - low else "gap", text, before, event)
        return len(new) == high - low

    def _evidence(self, tag: str) -> tuple[Event | None, ...]:
        operation = self._operations.get(tag)
        return operation.evidence if operation is not None else ()

    def _found(self, rule: str, text: str, *events: Event | None) -> None:
        self.violations.append(violation(rule, text, events))


def _versions(low: int, high: int) -> str:
    return f"version {low}" if low == high else f"one of versions {low} to {high}"
