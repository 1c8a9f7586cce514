"""The API as the workload speaks it: a change as a request, an answer as what the history keeps of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .history import Answer, Invoke, JobSeen, Seen
from .http import Reply

_METHODS = {"create": "POST", "replace": "PUT", "merge": "PATCH", "delete": "DELETE", "read": "GET"}
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a client wants done, or a read, which has no tag.

    id: of the record, None where the server names it. key: its Idempotency-Key, within the collection.
    prefer: the value of that header.
    """

    kind: str
    collection: str
    id: str | None = None
    tag: str | None = None
    key: str | None = None
    if_match: int | None = None
    if_absent: bool = False
    prefer: str | None = None
    text: str = ""

    @property
    def resource(self) -> str | None:
        return None if self.id is None else f"{self.collection}/{self.id}"

    @property
    def method(self) -> str:
        return _METHODS[self.kind]

    @property
    def path(self) -> str:
        return f"/v1/records/{self.collection}" + ("" if self.id is None else f"/{self.id}")

    def headers(self) -> dict[str, str]:
        headers = {} if self.body() == b"" else {"content-type": "application/json"}
        if self.key is not None:
            headers["idempotency-key"] = f'"{self.collection}/{self.key}"'
        if self.if_match is not None:
            headers["if-match"] = f'"{self.if_match}"'
        if self.if_absent:
            headers["if-none-match"] = "*"
        if self.prefer is not None:
            headers["prefer"] = self.prefer
        return headers

    def body(self) -> bytes:
        if self.kind in ("read", "delete"):
            return b""
        data: dict[str, Any] = {str(self.tag): True} if self.kind == "merge" else {"tag": self.tag}
        return json.dumps(data | ({"text": self.text} if self.text else {})).encode()

    def invoke(self, request: int, client: str) -> Invoke:
        return Invoke(
            at=time.monotonic(),
            request=request,
            client=client,
            kind=self.kind,
            resource=self.resource,
            tag=self.tag,
            key=self.key is not None,
            if_match=self.if_match,
            if_absent=self.if_absent,
        )


def answer(request: int, reply: Reply) -> Answer:
    """Raises ValueError, KeyError or TypeError for a body that is none of the API's."""
    shown = _object(reply)
    record = shown if "version" in shown else None
    job = shown if "state" in shown else None
    pending = reply.headers.get("holdfast-pending")
    resource = job["resource"] if job else f"{record['collection']}/{record['id']}" if record else None
    return Answer(
        at=time.monotonic(),
        request=request,
        status=reply.status,
        resource=resource,
        version=record["version"] if record else None,
        seen=Seen.read(record) if record else None,
        job=job["id"] if job else None,
        problem=_problem(shown),
        stale="cache-status" in reply.headers,
        pending=pending not in (None, _UNKNOWN),
        unknown=pending == _UNKNOWN,
        retry_after=float(reply.headers["retry-after"]) if "retry-after" in reply.headers else None,
    )


def job_seen(job: str, reply: Reply) -> JobSeen | None:
    """None where the answer says nothing about the job."""
    if reply.status == 404:
        return JobSeen(at=time.monotonic(), job=job, state="forgotten")
    if reply.status != 200:
        return None
    shown = _object(reply)
    result = shown.get("result") or {}
    record = result.get("record")
    return JobSeen(
        at=time.monotonic(),
        job=job,
        state=shown["state"],
        attempts=shown["attempts"],
        status=result.get("status"),
        version=record["version"] if record else None,
        seen=Seen.read(record) if record else None,
        problem=_problem(result.get("problem") or {}),
    )


def _object(reply: Reply) -> dict[str, Any]:
    return dict(json.loads(reply.body)) if reply.body else {}


def _problem(shown: Mapping[str, Any]) -> str | None:
    return shown["type"].rpartition("/")[2] if "type" in shown and "title" in shown else None
