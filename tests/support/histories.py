"""Tells histories to the checker, event by event, on a clock that moves one second with each."""

from __future__ import annotations

from typing import Any

from chaos.history import Answer, Event, Final, Healed, Invoke, JobSeen, Lost, Seen


class Tale:
    """`send` and `answer` tell single events; `write`, `hold`, `read` tell what usually belongs together."""

    def __init__(self, resource: str = "notes/a") -> None:
        self.resource = resource
        self.events: list[Event] = []
        self._waited = 0

    def seen(self, version: int, base: str, *merges: str) -> Seen:
        return Seen(self.resource, version, base, tuple(sorted(merges)))

    def send(self, tag: str | None, kind: str, client: str = "c", **more: Any) -> int:
        """Returns the number of the request."""
        request = len(self.events)
        fields = {"resource": self.resource, **more}
        self.events.append(Invoke(at=self._now(), request=request, client=client, kind=kind, tag=tag, **fields))
        return request

    def answer(self, request: int, status: int, **more: Any) -> Tale:
        self.events.append(Answer(at=self._now(), request=request, status=status, **more))
        return self

    def lose(self, request: int, *, sent: bool = True) -> Tale:
        self.events.append(Lost(at=self._now(), request=request, error="ReadTimeout", sent=sent))
        return self

    def write(self, tag: str, kind: str, status: int, seen: Seen | None = None, **more: Any) -> Tale:
        """A request with its answer; the version is the record's unless given."""
        request = self.send(tag, kind, **{k: more.pop(k) for k in ("if_match", "if_absent") if k in more})
        version = more.pop("version", seen.version if seen else None)
        return self.answer(request, status, version=version, seen=seen, **more)

    def hold(self, tag: str, kind: str) -> Tale:
        """A request answered with 202; the job is named after the tag."""
        return self.write(tag, kind, 202, job=f"job-{tag}")

    def job(self, tag: str, state: str, seen: Seen | None = None, **more: Any) -> Tale:
        version = more.pop("version", seen.version if seen else None)
        event = JobSeen(at=self._now(), job=f"job-{tag}", state=state, version=version, seen=seen, **more)
        self.events.append(event)
        return self

    def read(self, seen: Seen | None, **more: Any) -> Tale:
        return self.answer(self.send(None, "read"), 404 if seen is None else 200, seen=seen, **more)

    def heal(self) -> Tale:
        self.events.append(Healed(at=self._now()))
        return self

    def final(self, seen: Seen | None) -> Tale:
        self.events.append(Final(at=self._now(), resource=self.resource, seen=seen))
        return self

    def wait(self, seconds: int) -> Tale:
        """Let time pass."""
        self._waited += seconds
        return self

    def _now(self) -> float:
        return float(len(self.events) + self._waited)
