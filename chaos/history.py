"""What the clients of a run saw, in the order of time: one JSON object per line.

Times are seconds of one monotonic clock. A tag names one logical change, whatever number of requests it took; a create
or replace writes it as the member `tag` of the record, a merge as a member named after it, so that a document says by
itself which changes it holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as somebody was shown it: the create or replace that it stands on, and the merges since, sorted."""

    resource: str
    version: int
    base: str
    merges: tuple[str, ...] = ()

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Seen:
        """From the API's representation; what is no change of ours becomes a tag that nobody has sent."""
        data = dict(record["data"])
        base = str(data.pop("tag", "no tag"))
        data.pop("text", None)
        resource = f"{record['collection']}/{record['id']}"
        return cls(resource, record["version"], base, tuple(sorted(data)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke(Event):
    """A request is about to be sent.

    kind:     create, replace, merge, delete or read. resource: None where the server names it.
    tag:      the change that it asks for, None for a read. key: whether it carries an Idempotency-Key.
    if_match: the version it is conditional on. if_absent: `If-None-Match: *`.
    """

    request: int
    client: str
    kind: str
    resource: str | None = None
    tag: str | None = None
    key: bool = False
    if_match: int | None = None
    if_absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Event):
    """The answer to a request.

    resource: of the record that it shows or names. version: of its ETag. job: the id of the job that it names.
    problem:  the last part of the problem's type. stale: it says that it comes from the cache.
    pending:  it says that held operations wait for the record; unknown: that it cannot know.
    """

    request: int
    status: int
    resource: str | None = None
    version: int | None = None
    seen: Seen | None = None
    job: str | None = None
    problem: str | None = None
    stale: bool = False
    pending: bool = False
    unknown: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost(Event):
    """No answer came. sent: the request may have reached the server."""

    request: int
    error: str
    sent: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSeen(Event):
    """A job as it was shown; its state is `forgotten` where the answer was 404. The rest is of its result."""

    job: str
    state: str
    attempts: int = 0
    status: int | None = None
    version: int | None = None
    seen: Seen | None = None
    problem: str | None = None

    @property
    def settled(self) -> bool:
        return self.state in ("succeeded", "failed", "dead", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Event):
    """Something is broken from now on, or, when `over`, mended again."""

    name: str
    target: str
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Event):
    """What the API said of itself. waiting: held operations. breakers: states by name."""

    breakers: Mapping[str, str]
    waiting: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed(Event):
    """From here on nothing is broken any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Final(Event):
    """A record as it stands when no request is under way any more, None where there is none."""

    resource: str
    seen: Seen | None = None


# Refusals that say nothing about an earlier try of the same change; a 409 does where its problem is one of these.
_NO_VERDICT = {408, 409, 425, 429}
_CONFLICTS = {"already-exists", "superseded", "operation-cancelled"}


def is_verdict(answer: Answer) -> bool:
    """Whether a change that is answered like this is done with: applied, accepted or refused for good."""
    return answer.status < 500 and (answer.status not in _NO_VERDICT or answer.problem in _CONFLICTS)


_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind for kind in (Invoke, Answer, Lost, JobSeen, Fault, Sample, Healed, Final)
}


def encode(event: Event) -> str:
    """One line, without what is as usual."""
    usual = {field.name: field.default for field in fields(event)}
    told = {name: value for name, value in asdict(event).items() if value != usual[name]}
    return json.dumps({"event": type(event).__name__, **told}, separators=(",", ":"))


def decode(line: str) -> Event:
    told = json.loads(line)
    if "seen" in told:
        seen = told["seen"]
        told["seen"] = Seen(seen["resource"], seen["version"], seen["base"], tuple(seen["merges"]))
    return _KINDS[told.pop("event")](**told)


def load(path: Path) -> Iterator[Event]:
    with path.open() as lines:
        for line in lines:
            yield decode(line)


class History:
    """The events of a run, kept in memory and, with a path, written down as they come."""

    def __init__(self, path: Path | None = None, events: Iterable[Event] = ()) -> None:
        self.events = list(events)
        self._file = path.open("w") if path is not None else None

    def add(self, event: Event) -> None:
        self.events.append(event)
        if self._file is not None:
            self._file.write(encode(event) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
