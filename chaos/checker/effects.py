"""What the versions of one record say about the operations on it.

Not looked into: whether operations that fill gaps next to each other could have followed one another (two deletes in a
row cannot). A history that is wrong in this way alone passes; none is blamed that is right.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

from ..history import Event
from .gaps import Range, match, newest_before, oldest_after
from .model import Operation, Outcome, Resource
from .places import Places
from .rules import Violation, violation

# Each round of placing narrows the ranges for the next one; a third finds next to nothing more.
_ROUNDS = 2


class Effects:
    """versions: of the operations whose version is certain."""

    def __init__(self, resource: Resource, operations: Mapping[str, Operation]) -> None:
        self.resource = resource
        self._places = Places(resource, operations)
        self.violations: list[Violation] = self._places.violations
        self._by, self._last = self._places.by, self._places.last
        self.versions = {operation: version for version, operation in self._by.items()}
        for _ in range(_ROUNDS):
            self._bound()
            self._place_alone(self._shown, covered=True)
            self._place_alone(self._unshown, covered=False)
        self._bound()
        self._deletes = sorted(version for version, operation in self._by.items() if operation.kind == "delete")
        self._loose_deletes = self._possible_deletes()
        self._match(self._gaps(covered=True), self._shown)
        self._match(self._gaps(covered=False), self._unshown)
        self._check_refused()
        self._check_order()
        self._check_neighbours()
        self._check_refusals()
        self._check_final()

    def can_be_absent(self, version: int, until: float) -> bool:
        """Whether the record can have been deleted at or after this version, and before `until`."""
        if not version:
            return True
        position = bisect_left(self._deletes, version)
        if position < len(self._deletes) and self._by[self._deletes[position]].first.at < until:
            return True
        position = bisect_left(self._loose_deletes, (version, 0.0))
        return position < len(self._loose_deletes) and self._loose_deletes[position][1] < until

    # Gaps

    def _gaps(self, *, covered: bool) -> list[int]:
        """Versions that nobody is known to have made, and of which documents do (not) tell all."""
        known, blamed = self._places.covered, self._places.blamed
        return [
            version
            for version in range(1, self._last + 1)
            if version not in self._by and version not in blamed and (version in known) is covered
        ]

    def _bound(self) -> None:
        """The ranges of the operations whose version is not certain, as far as the known versions tell."""
        self._after = newest_before(self.resource, self.versions)
        before = oldest_after(self.resource, self.versions)
        self._shown, self._unshown = list[Range](), list[Range]()
        for operation in self.resource.operations:
            if not operation.possible or operation.version is not None or operation in self.versions:
                continue
            after = self._after[operation]
            low = 1 if after is None else self.versions[after] + 1
            high = int(min(self._last, before.get(operation, self._last + 1) - 1))
            if operation in self._places.between:
                first, last = self._places.between[operation]
                self._shown.append(Range(max(low, first), min(high, last), True, operation))
            elif operation.shown is None:
                self._unshown.append(Range(low, high, operation.outcome is Outcome.EFFECT, operation))
        self._shown.sort(key=_low)
        self._unshown.sort(key=_low)

    def _place_alone(self, ranges: list[Range], *, covered: bool) -> None:
        """What certainly took effect, and has one gap only in its range, made that version."""
        gaps = self._gaps(covered=covered)
        for low, high, certain, operation in ranges:
            position = bisect_left(gaps, low)
            found = gaps[position : position + 2]
            if certain and found and found[0] <= high and (len(found) == 1 or found[1] > high):
                self.versions.setdefault(self._by.setdefault(found[0], operation), found[0])

    def _possible_deletes(self) -> list[tuple[int, float]]:
        """The deletes without a known version, as pairs in ascending order.

        In each, the highest version that such a delete can have made, and when the first delete was sent that can have
        made this version or a higher one.
        """
        gaps = self._gaps(covered=False)
        final = self.resource.final
        open_end = final is None or final.seen is None
        found = []
        for low, high, _, operation in self._unshown:
            position = bisect_left(gaps, low)
            fits = position < len(gaps) and gaps[position] <= high
            if operation.kind == "delete" and (fits or (open_end and high == self._last)):
                found.append((high, operation.first.at))
        found.sort(reverse=True)
        earliest = accumulate((at for _, at in found), min)
        return [(high, at) for (high, _), at in zip(found, earliest, strict=True)][::-1]

    def _match(self, gaps: list[int], ranges: list[Range]) -> None:
        empty, left = match(gaps, ranges)
        certain = {one.operation for one in ranges if one.certain}
        for operation in left:
            if operation in certain:
                after = self._after[operation]
                text = f"{operation} {Outcome.EFFECT.value}, and no version is left that it can have made"
                evidence = after.evidence if after is not None else ()
                self._found("lost", text, *operation.evidence, operation.shown, *evidence)
        for version in empty:
            text = f"nobody can have made version {version} of {self.resource.name}"
            below = next((one for one in range(version - 1, 0, -1) if any(self._evidence(one))), 0)
            above = next((one for one in range(version, self._last + 1) if any(self._evidence(one))), 0)
            self._found("gap", text, *self._evidence(below), *self._evidence(above))

    # What follows from the versions

    def _check_refused(self) -> None:
        for operation in self.resource.operations:
            if operation.outcome is Outcome.NONE and operation.shown is not None:
                text = f"{operation} {Outcome.NONE.value}, and is shown"
                self._found("refused", text, *operation.evidence, operation.shown)
            if operation.outcome is Outcome.UNSURE and operation.shown is not None and not operation.tries:
                text = f"every answer to {operation} said that nothing has happened, and it is shown"
                self._found("half-done", text, *operation.evidence, operation.shown)

    def _check_order(self) -> None:
        """It is enough to compare with the newest version: if any acknowledged one is newer, that one is."""
        for operation, after in self._after.items():
            version = self.versions.get(operation)
            if after is not None and version is not None and self.versions[after] > version:
                text = f"{after} was acknowledged before {operation} was sent, and made version {self.versions[after]},"
                evidence = (*after.evidence, *operation.evidence, operation.shown)
                self._found("order", f"{text} and {operation} version {version}", *evidence)

    def _check_neighbours(self) -> None:
        for version, operation in self._by.items():
            before = self._by.get(version - 1)
            if version > 1 and before is None:
                continue
            broken = _broken(operation, version, before)
            if broken is not None:
                rule, text = broken
                evidence = before.evidence if before is not None else ()
                self._found(rule, f"{operation} {text}, as version {version}", *evidence, *operation.evidence)

    def _check_refusals(self) -> None:
        for operation in self.resource.operations:
            proof, after = operation.proof, self._after[operation]
            if operation.outcome is not Outcome.NONE or proof is None:
                continue
            if proof.problem == "precondition-failed" and operation.first.if_match is not None:
                just = self._changed(operation.first.if_match, proof.at)
            elif proof.problem == "not-found" and after is not None:
                just = self.can_be_absent(self.versions[after], proof.at)
            else:
                continue
            if not just:
                evidence = after.evidence if after is not None else ()
                self._found("unjust", f"{operation} was refused without reason", *operation.evidence, *evidence)

    def _changed(self, version: int, until: float) -> bool:
        """Whether the record can have been elsewhere than at this version, which was known, before `until`."""
        made_by = self._by.get(version)
        if made_by is None or made_by.kind == "delete":
            return True
        if version >= self._last:
            return self.can_be_absent(version, until)
        successor = self._by.get(version + 1)
        return successor is None or successor.first.at < until

    def _check_final(self) -> None:
        final = self.resource.final
        if final is None or not self._last:
            return
        version = final.seen.version if final.seen is not None else None
        if version == self._last or (version is None and self.can_be_absent(self._last, final.at)):
            return
        text = f"{self.resource.name} reached version {self._last}, and is not at it in the end"
        self._found("lost", text, *self._evidence(self._last), final)

    def _evidence(self, version: int) -> tuple[Event | None, ...]:
        operation, shown = self._by.get(version), self.resource.documents.get(version)
        return (*(operation.evidence if operation else ()), shown.event if shown else None)

    def _found(self, rule: str, text: str, *events: Event | None) -> None:
        self.violations.append(violation(rule, text, events))


def _broken(operation: Operation, version: int, before: Operation | None) -> tuple[str, str] | None:
    """The rule that is broken by taking effect after `before`, None at version 1."""
    absent = before is None or before.kind == "delete"
    status = operation.proof.status if operation.proof is not None else None
    if operation.first.if_match not in (None, version - 1):
        return "condition", f"was for version {operation.first.if_match} alone, and took effect"
    if operation.first.if_absent and not absent:
        return "condition", "was for an absent record alone, and took effect"
    if absent and (operation.kind in ("merge", "delete") or status == 200):
        return "transition", "found a record where there was none"
    if not absent and (operation.kind == "create" or status == 201):
        return "transition", "found no record where there was one"
    return None


def _low(one: Range) -> int:
    return one.low
