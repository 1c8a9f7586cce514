"""A correct system in miniature, with clients, lost answers, outages and replay, that writes its own history.

Every choice is drawn from one random source. A named flaw makes it do one thing wrong, once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from chaos.history import Answer, Event, Final, Healed, Invoke, JobSeen, Lost, Seen

FLAWS = (
    "double",
    "lose",
    "overtake",
    "stale read",
    "hidden read",
    "cache goes back",
    "effect of a refusal",
    "job goes back",
    "drop held",
    "cancel of an effect",
)
RESOURCES = ("notes/a", "notes/b")


class Result(NamedTuple):
    status: int
    version: int | None = None
    seen: Seen | None = None
    problem: str | None = None


CANCELLED = Result(409, problem="operation-cancelled")


@dataclass
class Record:
    """past: all that it has shown. cached: how much of that the cache knows."""

    name: str
    version: int = 0
    base: str | None = None
    merges: tuple[str, ...] = ()
    past: list[Seen | None] = field(default_factory=lambda: [None])
    cached: int = 0

    @property
    def seen(self) -> Seen | None:
        return None if self.base is None else Seen(self.name, self.version, self.base, tuple(sorted(self.merges)))


@dataclass
class Held:
    """told: when a client was told of it."""

    invoke: Invoke
    result: Result | None = None
    told: float | None = None

    @property
    def state(self) -> str:
        if self.result is None:
            return "queued"
        if self.result is CANCELLED:
            return "cancelled"
        return "succeeded" if self.result.status < 300 else "failed"


class Simulation:
    """resolve: every client asks until it knows what became of its change. `flaw_shown` tells, after `run`, whether the
    flaw has happened in a way that the clients were shown.
    """

    def __init__(self, random: Random, flaw: str | None = None, *, resolve: bool = True) -> None:
        self._random = random
        self._flaw = flaw
        self._resolve = resolve
        self._shows: Callable[[], bool] = lambda: False
        self._events: list[Event] = []
        self._now = 0.0
        self._number = 0
        self._up = True
        self._records = {name: Record(name) for name in RESOURCES}
        self._done: dict[str, Result] = {}
        self._mailboxes: dict[str, deque[Held]] = {name: deque() for name in RESOURCES}
        self._held: dict[str, Held] = {}
        self._open: list[tuple[Invoke, Answer | None]] = []
        self._unanswered: list[Invoke] = []
        self._answered: list[Invoke] = []
        self._known: dict[str, int] = dict.fromkeys(RESOURCES, 0)
        self._settled: set[str] = set()

    @property
    def flaw_shown(self) -> bool:
        return self._shows()

    def run(self, steps: int) -> list[Event]:
        actions = [self._begin] * 4 + [self._arrive] * 4 + [self._reply] * 4 + [self._replay] * 3
        actions += [self._poll, self._insist, self._repeat, self._cancel, self._toggle]
        for _ in range(steps):
            self._random.choice(actions)()
        self._end()
        return self._events

    # Clients

    def _begin(self) -> None:
        resource = self._random.choice(RESOURCES)
        kind = self._random.choice(["replace", "merge", "merge", "merge", "delete", "read", "read"])
        expected = self._known[resource] if kind != "read" and self._random.random() < 0.2 else 0
        absent = kind == "replace" and not expected and self._random.random() < 0.2
        self._send(self._new(resource, kind, if_match=expected or None, if_absent=absent))

    def _new(self, resource: str, kind: str, *, if_match: int | None = None, if_absent: bool = False) -> Invoke:
        self._number += 1
        tag = None if kind == "read" else f"t{self._number}"
        return Invoke(
            at=0, request=0, client="c", kind=kind, resource=resource, tag=tag, if_match=if_match, if_absent=if_absent
        )

    def _send(self, like: Invoke) -> None:
        self._number += 1
        invoke = replace(like, at=self._tick(), request=self._number)
        self._events.append(invoke)
        self._open.append((invoke, None))

    def _insist(self) -> None:
        if self._unanswered:
            self._send(self._unanswered.pop(self._random.randrange(len(self._unanswered))))

    def _repeat(self) -> None:
        """Of what has had its answer, however long ago."""
        if self._answered:
            self._send(self._random.choice(self._answered))

    def _reply(self) -> None:
        ready = [one for one in self._open if one[1] is not None]
        if ready:
            self._answer(*self._random.choice(ready), lost=self._random.random() < 0.1)

    def _answer(self, invoke: Invoke, answer: Answer | None, *, lost: bool = False) -> None:
        assert answer is not None
        self._open.remove((invoke, answer))
        if invoke.tag is not None:
            (self._unanswered if lost or answer.status == 503 else self._answered).append(invoke)
        if lost:
            self._events.append(Lost(at=self._tick(), request=invoke.request, error="ReadTimeout"))
            return
        self._events.append(replace(answer, at=self._tick(), request=invoke.request))
        if answer.version is not None:
            self._known[str(invoke.resource)] = max(self._known[str(invoke.resource)], answer.version)
        if answer.status == 202:
            held = self._held[str(invoke.tag)]
            held.told = held.told or self._now

    # The system

    def _arrive(self) -> None:
        waiting = [invoke for invoke, answer in self._open if answer is None]
        if waiting:
            self._serve(self._random.choice(waiting), broken=self._random.random() < 0.05)

    def _serve(self, invoke: Invoke, *, broken: bool = False) -> None:
        self._open.remove((invoke, None))
        refusal = Answer(at=0, request=0, status=503, retry_after=1.0)
        if broken and self._random.random() < 0.5:
            self._open.append((invoke, refusal))
            return
        answer = self._read(invoke) if invoke.tag is None else self._write(invoke)
        self._open.append((invoke, refusal if broken else answer))

    def _read(self, invoke: Invoke) -> Answer:
        record = self._records[str(invoke.resource)]
        pending = bool(self._mailboxes[record.name])
        if not self._up:
            return _shown(self._cached(invoke, record), stale=True, pending=pending)
        if (old := self._stale_read(invoke, record)) is not None:
            return old
        if pending and self._random.random() < 0.1:
            return replace(_shown(record.seen), unknown=True)
        if pending and self._is_time("hidden read"):
            self._shows = lambda: self._was_hidden(invoke)
            pending = False
        return _shown(record.seen, pending=pending)

    def _cached(self, invoke: Invoke, record: Record) -> Seen | None:
        cached = [one.seen for one in self._answers(invoke) if one.stale and one.seen is not None]
        newest = max((seen.version for seen in cached), default=0)
        old = [seen for seen in record.past if seen is not None and seen.version < newest]
        if old and self._is_time("cache goes back"):
            self._shows = lambda: self._was_answered(invoke, 200)
            return old[-1]
        record.cached = self._random.randrange(record.cached, len(record.past))
        return record.past[record.cached]

    def _stale_read(self, invoke: Invoke, record: Record) -> Answer | None:
        told = max(
            (seen.version for at, seen in self._told() if seen.resource == record.name and at < invoke.at), default=0
        )
        old = [seen for seen in record.past if seen is not None and seen.version < told]
        if not old or not self._is_time("stale read"):
            return None
        self._shows = lambda: self._was_answered(invoke, 200)
        return _shown(old[-1], pending=bool(self._mailboxes[record.name]))

    def _write(self, invoke: Invoke) -> Answer:
        tag, mailbox = str(invoke.tag), self._mailboxes[str(invoke.resource)]
        held = self._held.get(tag)
        if held is not None:
            return _accepted(tag) if held.result is None else _as_answer(held.result)
        if self._up and not mailbox:
            return _as_answer(self._apply(invoke))
        overtaken = [one for one in mailbox if one.invoke.tag not in self._done]
        if overtaken and tag not in self._done and self._is_time("overtake"):
            self._shows = lambda: self._has_overtaken(tag, overtaken)
            return _as_answer(self._apply(invoke))
        held = self._held[tag] = Held(invoke)
        if self._is_time("drop held"):
            self._shows = lambda: held.told is not None
        else:
            mailbox.append(held)
        return _accepted(tag)

    def _apply(self, invoke: Invoke) -> Result:
        tag, record = str(invoke.tag), self._records[str(invoke.resource)]
        if tag in self._done:
            return self._done[tag]
        problem = _problem(record, invoke)
        self._done[tag] = problem or self._change(record, invoke)
        if problem is not None and record.base is not None and self._is_time("effect of a refusal"):
            self._change(record, invoke)
            self._shows = lambda: True
        return self._done[tag]

    def _change(self, record: Record, invoke: Invoke) -> Result:
        tag, before = str(invoke.tag), replace(record)
        record.version += 1
        if invoke.kind == "merge":
            record.merges += (tag,)
        else:
            record.base, record.merges = (None if invoke.kind == "delete" else tag), ()
        status = 204 if record.base is None else (200 if before.base is not None else 201)
        result = Result(status, None if status == 204 else record.version, record.seen)
        if self._is_time("lose"):
            record.version, record.base, record.merges = before.version, before.base, before.merges
            self._shows = lambda: True
        elif self._is_time("double"):
            record.version += 1
            self._shows = lambda: True
        record.past.append(record.seen)
        return result

    def _replay(self) -> None:
        mailboxes = [mailbox for mailbox in self._mailboxes.values() if mailbox]
        if self._up and mailboxes:
            held = self._random.choice(mailboxes).popleft()
            held.result = self._apply(held.invoke)

    def _cancel(self) -> None:
        """Only the store knows whether an earlier request took effect, and nothing is cancelled that did."""
        waiting = [held for mailbox in self._mailboxes.values() for held in mailbox if held.told is not None]
        if not self._up or not waiting:
            return
        held = self._random.choice([held for held in waiting if held.invoke.tag in self._done] or waiting)
        tag = str(held.invoke.tag)
        if tag in self._done and not self._is_time("cancel of an effect"):
            return
        self._shows = (lambda: self._was_applied(tag)) if tag in self._done else self._shows
        self._mailboxes[str(held.invoke.resource)].remove(held)
        held.result = CANCELLED
        self._look(tag)

    def _poll(self) -> None:
        told = [tag for tag, held in self._held.items() if held.told is not None]
        if told:
            self._look(self._random.choice(told))

    def _look(self, tag: str) -> None:
        held = self._held[tag]
        state, result = held.state, held.result
        if tag in self._settled and self._is_time("job goes back"):
            state, result = "running", None
            self._shows = lambda: True
        elif result is not None:
            self._settled.add(tag)
        fields = result._asdict() if result is not None else {}
        self._events.append(JobSeen(at=self._tick(), job=f"job-{tag}", state=state, **fields))

    def _toggle(self) -> None:
        self._up = not self._up

    # The end: all is healed, drained and asked, and one last change shows the version of what was deleted

    def _end(self) -> None:
        self._up = True
        self._events.append(Healed(at=self._tick()))
        self._quiesce()
        while self._resolve and self._unanswered:
            self._insist()
            self._quiesce()
        for name in RESOURCES:
            self._send(self._new(name, "replace"))
        self._quiesce()
        for tag, held in self._held.items():
            if held.told is not None:
                self._look(tag)
        for name, record in self._records.items():
            self._events.append(Final(at=self._tick(), resource=name, seen=record.seen))

    def _quiesce(self) -> None:
        while any(self._mailboxes.values()):
            self._replay()
        while self._open:
            invoke, answer = self._open[0]
            if answer is None:
                self._serve(invoke)
            else:
                self._answer(invoke, answer)
        if any(self._mailboxes.values()):
            self._quiesce()

    def _tick(self) -> float:
        self._now += 1.0
        return self._now

    # Flaws

    def _is_time(self, flaw: str) -> bool:
        """Whether to do it wrong now; True once at most."""
        if self._flaw != flaw or self._random.random() < 0.5:
            return False
        self._flaw = None
        return True

    def _told(self) -> list[tuple[float, Seen]]:
        return [
            (one.at, one.seen) for one in self._events if isinstance(one, Answer | JobSeen) and one.seen is not None
        ]

    def _answers(self, invoke: Invoke) -> list[Answer]:
        """All that came before this request was sent, about its resource."""
        answers = [one for one in self._events if isinstance(one, Answer) and one.at < invoke.at]
        return [one for one in answers if one.seen is not None and one.seen.resource == invoke.resource]

    def _was_answered(self, invoke: Invoke, status: int) -> bool:
        answers = [one for one in self._events if isinstance(one, Answer) and one.request == invoke.request]
        return any(one.status == status for one in answers)

    def _was_applied(self, tag: str) -> bool:
        """Somebody was told so."""
        requests = {one.request for one in self._events if isinstance(one, Invoke) and one.tag == tag}
        answers = [one for one in self._events if isinstance(one, Answer) and one.request in requests]
        return any(one.status in (200, 201, 204) for one in answers)

    def _was_hidden(self, invoke: Invoke) -> bool:
        """The read shows a version below that of an operation which had been accepted before it was sent."""
        answers = [one for one in self._events if isinstance(one, Answer) and one.request == invoke.request]
        accepted = [
            held.result.version or 0
            for held in self._held.values()
            if held.result is not None
            and held.invoke.resource == invoke.resource
            and held.invoke.kind != "delete"
            and held.told is not None
            and held.told < invoke.at
        ]
        return any(
            one.status == 200 and one.version is not None and one.version < max(accepted, default=0) for one in answers
        )

    def _has_overtaken(self, tag: str, overtaken: list[Held]) -> bool:
        first = min(one.at for one in self._events if isinstance(one, Invoke) and one.tag == tag)
        return self._done[tag].status < 300 and any(
            one.told is not None and one.told < first and one.result is not None and one.result.status < 300
            for one in overtaken
        )


def _shown(seen: Seen | None, *, stale: bool = False, pending: bool = False) -> Answer:
    version = None if seen is None else seen.version
    status = 404 if seen is None else 200
    return Answer(at=0, request=0, status=status, version=version, seen=seen, stale=stale, pending=pending)


def _accepted(tag: str) -> Answer:
    return Answer(at=0, request=0, status=202, job=f"job-{tag}")


def _as_answer(result: Result) -> Answer:
    return Answer(at=0, request=0, **result._asdict())


def _problem(record: Record, invoke: Invoke) -> Result | None:
    current = None if record.base is None else record.version
    if (invoke.if_match is not None and invoke.if_match != current) or (invoke.if_absent and current is not None):
        return Result(412, problem="precondition-failed")
    if invoke.kind in ("merge", "delete") and current is None:
        return Result(404, problem="not-found")
    return None
