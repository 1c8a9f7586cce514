"""The API as this suite speaks it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from .truth import Record, Seen, Truth, Write

_METHODS = {"create": "POST", "replace": "PUT", "merge": "PATCH", "delete": "DELETE"}
DONE = (200, 201, 204)

Ask = Callable[[str, str, dict[str, str], Any], tuple[int, Any]]


class Api(NamedTuple):
    """headers: of every request. collection: used by this run alone."""

    url: str
    headers: dict[str, str]
    collection: str


class Answers:
    """Requests, and what the answers mean for the truth.

    ask: method, path, headers and JSON body to status and JSON body; status 0 where none came.
    """

    def __init__(self, ask: Ask, collection: str) -> None:
        self._ask = ask
        self._records = f"/v1/records/{collection}"

    def write(self, record: Record, write: Write) -> int:
        """Send it, once; the status, 0 where no answer came."""
        path = self._records if record.id is None else f"{self._records}/{record.id}"
        body = None if write.kind == "delete" else write.body
        status, answer = self._ask(_METHODS[write.kind], path, {"Idempotency-Key": f'"{write.key}"'}, body)
        if status in DONE:
            write.effect = True
        elif status == 202:
            write.job = answer["id"]
        elif 400 <= status < 500 and status not in (408, 409, 429):
            write.effect = False
        if record.id is None and status in (201, 202):
            record.id = answer["id"] if status == 201 else answer["resource"].partition("/")[2]
        return status

    def read(self, id_: str) -> Seen | int:
        """The record, or the status of an answer that is none."""
        status, answer = self._ask("GET", f"{self._records}/{id_}", {}, None)
        if status == 200:
            return Seen(answer["version"], answer["data"])
        return Seen(None, None) if status == 404 else status

    def poll(self, truth: Truth, write: Write) -> int:
        """Look at the job that holds the write; what it has come to is kept when it is settled."""
        status, job = self._ask("GET", f"/v1/jobs/{write.job}", {}, None)
        if status == 200 and job["settled_at"] is not None:
            write.effect = job["state"] == "succeeded"
            truth.delays.append(_seconds(job["settled_at"]) - _seconds(job["accepted_at"]))
        return status


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
