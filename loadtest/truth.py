"""What each user wrote, and what must stand in the store when all is settled.

A record belongs to one user, who sends one write after another; so what must stand is known exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Seen(NamedTuple):
    """A record as the API shows it; data is None where there is none."""

    version: int | None
    data: Mapping[str, Any] | None


@dataclass(slots=True)
class Write:
    """One write.

    mark:   a member of the record's data that it alone adds.
    effect: True when it was acknowledged or its job has succeeded, False when it was refused, None when nobody knows.
    job:    the job that holds it, if one does.
    """

    kind: str
    key: str
    mark: str
    effect: bool | None = None
    job: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        return {self.mark: 1}


@dataclass(slots=True)
class Record:
    """id: None until the API has named it."""

    id: str | None = None
    writes: list[Write] = field(default_factory=list)

    @property
    def made(self) -> bool:
        """It is in the store. Before, while its creation is held, nobody can read it if the store is down."""
        return bool(self.writes) and self.writes[0].effect is True

    @property
    def deleted(self) -> bool:
        return bool(self.writes) and self.writes[-1].kind == "delete"

    @property
    def unknown(self) -> bool:
        """A write has no answer yet: what comes after it could come before it."""
        return any(write.effect is None and write.job is None for write in self.writes)

    def expected(self) -> Seen:
        """What must stand: every write that took effect, once, in the order in which they were sent."""
        version, data = 0, dict[str, Any]()
        for write in self.writes:
            if not write.effect:
                continue
            version += 1
            data = {**data, **write.body} if write.kind == "merge" else ({} if write.kind == "delete" else write.body)
        return Seen(None, None) if self.deleted or not version else Seen(version, data)


@dataclass(slots=True)
class Truth:
    """All records of a run. delays: seconds from accepted to settled, of every held write."""

    records: list[Record] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    def waiting(self) -> Iterator[tuple[Record, Write]]:
        """Held writes of which nobody knows yet what became."""
        return ((record, write) for record in self.records for write in record.writes if _waits(write))

    def unknown(self) -> Iterator[tuple[Record, Write]]:
        """Writes without an answer, to be repeated with their keys."""
        pairs = ((record, write) for record in self.records for write in record.writes)
        return ((record, write) for record, write in pairs if write.effect is None and write.job is None)

    def acknowledged(self) -> int:
        return sum(write.effect is True for record in self.records for write in record.writes)


def _waits(write: Write) -> bool:
    return write.effect is None and write.job is not None


def differences(record: Record, seen: Seen) -> list[str]:
    """What is wrong with a record: writes lost, done twice, or out of order. None is what one wants."""
    expected = record.expected()
    if (seen.version, seen.data) == (expected.version, expected.data):
        return []
    marks = {write.mark for write in record.writes if write.effect}
    wanted, found = set(expected.data or ()), set(seen.data or ())
    said = [f"lost: {mark}" for mark in sorted((wanted - found) & marks)]
    said += [f"came back or was refused and stands: {mark}" for mark in sorted(found - wanted)]
    if expected.version != seen.version:
        said.append(f"version {seen.version}, expected {expected.version}")
    return said or [f"expected {expected}, found {seen}"]
