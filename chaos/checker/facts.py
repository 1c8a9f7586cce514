"""One pass over a history: what was asked, what was told of it, and what was shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..history import Answer, Event, Fault, Final, Healed, Invoke, JobSeen, Lost, Seen, is_verdict
from .model import Job, Operation, Outcome, Promise, Read, Resource, Shown, Told
from .rules import Violation, violation

_NOTHING_HAPPENED = {"unavailable", "overloaded"}  # problems of a 503 that says so


class _Open(NamedTuple):
    """A request without an answer, and what was known when it was sent."""

    invoke: Invoke
    told: Told
    cached: Told
    promised: int
    breaks: int


_NOTHING = Told(0, None)


class Facts:
    """All that a history says, by operation, resource and job; and what contradicts itself at first sight."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.operations: dict[str, Operation] = {}
        self.resources: dict[str, Resource] = {}
        self.jobs: dict[str, Job] = {}
        self.violations: list[Violation] = []
        self.healed: Healed | None = None
        self._cache_breaks = 0
        self._open: dict[int, _Open] = {}
        for event in events:
            self._take(event)
        for operation in self._unplaced():
            self._resource(operation.resource).operations.append(operation)
        for resource in self.resources.values():
            resource.operations.sort(key=lambda operation: operation.first.at)

    def _take(self, event: Event) -> None:
        match event:
            case Invoke():
                self._invoke(event)
            case Answer():
                self._answer(event)
            case Lost(sent=False):
                self._refused_connection(event)
            case JobSeen():
                self._job(event)
            case Fault():
                self._break(event)
            case Healed():
                self.healed = event
            case Final():
                self._resource(event.resource).final = event
                self._show(event.seen, event)

    def _invoke(self, event: Invoke) -> None:
        resource = self._resource(event.resource) if event.resource else None
        told, promised = (resource.told, len(resource.promised)) if resource else (_NOTHING, 0)
        cached = resource.cached.get(self._cache_breaks, _NOTHING) if resource else _NOTHING
        self._open[event.request] = _Open(event, told, cached, promised, self._cache_breaks)
        if event.tag is None:
            return
        operation = self.operations.setdefault(event.tag, Operation(event, event.tag, event.resource))
        operation.tries += 1
        if resource is not None and operation.first is event:
            resource.operations.append(operation)

    def _unplaced(self) -> Iterator[Operation]:
        """Operations whose resource the server named."""
        return (one for one in self.operations.values() if one.first.resource is None and one.resource is not None)

    def _refused_connection(self, event: Lost) -> None:
        invoke = self._open.pop(event.request).invoke
        if invoke.tag is not None:
            self.operations[invoke.tag].tries -= 1

    def _answer(self, event: Answer) -> None:
        invoke, told, cached, promised, breaks = self._open.pop(event.request)
        if event.status == 500:
            self._found("bug", "the server answered 500", invoke, event)
        if event.status == 503 and event.retry_after is None:
            self._found("contract", "a 503 without Retry-After", invoke, event)
        self._show(event.seen, event)
        if invoke.tag is not None:
            self._write(self.operations[invoke.tag], event)
        elif invoke.resource is not None:
            current = cached if breaks == self._cache_breaks else None
            self._resource(invoke.resource).reads.append(Read(invoke, event, told, current, promised))
            self._show_cached(self._resource(invoke.resource), event)

    def _write(self, operation: Operation, event: Answer) -> None:
        self._locate(operation, event.resource, event)
        if event.job is not None:
            self._name_job(operation, event)
        if event.status == 202:
            operation.accepted = operation.accepted or event
            self._promise(operation, event)
        elif event.status < 300:
            self._promise(operation, event)
            self._settle(operation, Outcome.EFFECT, event)
        elif is_verdict(event):
            self._settle(operation, Outcome.NONE, event)
        elif event.problem in _NOTHING_HAPPENED:
            operation.tries -= 1

    def _locate(self, operation: Operation, name: str | None, event: Event) -> None:
        if name is None or name == operation.resource:
            return
        if operation.resource is not None:
            text = f"{operation} took effect on {operation.resource} and on {name}"
            self._found("twice", text, *operation.evidence, operation.shown, event)
            return
        operation.resource = name

    def _promise(self, operation: Operation, event: Answer) -> None:
        if operation.promise is None:
            operation.promise = event
            if operation.resource is not None:
                self._resource(operation.resource).promised.append(Promise(operation, event))

    def _break(self, event: Fault) -> None:
        if event.target == "cache":
            self._cache_breaks += 1
        elif (event.name, event.target) == ("empty", "ledger"):
            self._lose_ledger()

    def _lose_ledger(self) -> None:
        """What it held is gone, as the rule `forgotten` tells; sent again, it is a new promise.

        It is emptied at some moment between the beginning and the end of the fault, so this is for both.
        """
        for resource in self.resources.values():
            for promise in resource.promised:
                operation = promise.operation
                if operation.outcome is Outcome.UNSURE and operation.accepted is not None:
                    promise.void, operation.promise = True, None
        for job in self.jobs.values():
            job.last = job.last if job.ended else None

    def _settle(self, operation: Operation, outcome: Outcome, event: Answer | JobSeen) -> None:
        if operation.outcome is Outcome.UNSURE:
            operation.outcome, operation.proof = outcome, event
        elif operation.outcome is not outcome:
            text = f"{operation} {operation.outcome.value}, and then it {outcome.value}"
            self._found("outcome", text, *operation.evidence, event)
        if outcome is Outcome.EFFECT and event.version is not None:
            self._tell_version(operation, event.version, event)

    def _tell_version(self, operation: Operation, version: int, event: Event) -> None:
        if operation.version not in (None, version):
            text = f"{operation} took effect as version {operation.version} and as version {version}"
            self._found("twice", text, *operation.evidence, event)
            return
        operation.version = version
        if operation.resource is not None:
            self._tell(self._resource(operation.resource), version, event)

    # Jobs

    def _name_job(self, operation: Operation, event: Answer) -> None:
        job = operation.job = operation.job or event.job
        if job != event.job:
            self._found("outcome", f"{operation} has two jobs, {job} and {event.job}", *operation.evidence, event)
        if job is None:
            return
        other = self.jobs.setdefault(job, Job(operation)).operation
        if other is not operation and other.forgotten:
            self.jobs[job] = Job(operation)
        elif other is not operation:
            self._found("outcome", f"{operation} and {other} have one job", *operation.evidence, *other.evidence, event)

    def _job(self, event: JobSeen) -> None:
        job = self.jobs[event.job]
        operation = job.operation
        if job.last is not None and _went_back(job.last, event):
            text = f"the job of {operation} went from {job.last.state} to {event.state}"
            self._found("backwards", text, operation.promise, job.last, event)
        if event.state == "forgotten":
            self._found("forgotten", f"the job of {operation} is gone", operation.promise, job.last, event)
            return
        job.last = event
        if event.settled:
            job.ended = job.ended or event
        self._show(event.seen, event)
        if event.state == "succeeded":
            self._settle(operation, Outcome.EFFECT, event)
        elif event.state in ("failed", "cancelled"):
            self._settle(operation, Outcome.NONE, event)

    # Documents

    def _show(self, seen: Seen | None, event: Event) -> None:
        if seen is None:
            return
        resource = self._resource(seen.resource)
        first = resource.documents.setdefault(seen.version, Shown(seen, event))
        if first.seen != seen:
            text = f"version {seen.version} of {seen.resource} was shown as two documents"
            self._found("document", text, first.event, event)
        self._tell(resource, seen.version, event)
        for tag in (seen.base, *seen.merges):
            self._show_change(tag, seen, event)

    def _show_change(self, tag: str, seen: Seen, event: Event) -> None:
        operation = self.operations.get(tag)
        if operation is None:
            self._found("phantom", f"{seen.resource} shows {tag}, which nobody has sent", event)
            return
        self._locate(operation, seen.resource, event)
        operation.shown = operation.shown or event

    def _show_cached(self, resource: Resource, event: Answer) -> None:
        before = resource.cached.get(self._cache_breaks, _NOTHING)
        if event.stale and event.seen is not None and event.seen.version > before.version:
            resource.cached[self._cache_breaks] = Told(event.seen.version, event)

    def _tell(self, resource: Resource, version: int, event: Event) -> None:
        if version > resource.told.version:
            resource.told = Told(version, event)

    def _resource(self, name: str | None) -> Resource:
        assert name is not None
        resource = self.resources.get(name)
        if resource is None:
            resource = self.resources[name] = Resource(name)
        return resource

    def _found(self, rule: str, text: str, *events: Event | None) -> None:
        self.violations.append(violation(rule, text, events))


def _went_back(before: JobSeen, now: JobSeen) -> bool:
    if now.state == "forgotten":
        return False
    if before.settled:
        return now.state != before.state
    return now.attempts < before.attempts or (now.state == "queued" and before.state != "queued")
