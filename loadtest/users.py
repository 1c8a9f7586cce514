"""The user: writes and reads records of its own, and polls what was held."""

from __future__ import annotations

import random
import time
from typing import Any
from uuid import uuid4

from locust import FastHttpUser, constant_throughput, task

from .truth import Record, Truth, Write
from .wire import DONE, Answers, Api

_MOST_RECORDS = 20
_TRIES = 3
_BETWEEN_TRIES = 0.5
_BETWEEN_POLLS = 1.0


class Client(FastHttpUser):
    """70 % writes (create, replace, merge, delete) and 30 % reads. The environment has `truth`, `api` and `rate`."""

    abstract = False

    def __init__(self, environment: Any) -> None:
        self.host = environment.api.url
        super().__init__(environment)
        self._truth: Truth = environment.truth
        api: Api = environment.api
        self._headers = api.headers
        self._answers = Answers(self._ask, api.collection)
        self._records: list[Record] = []
        self._held: list[tuple[float, Write]] = []

    def wait_time(self) -> float:
        return constant_throughput(self.environment.rate)(self)

    @task(30)
    def read(self) -> None:
        made = [record for record in self._records if record.made and not record.deleted]
        if made:
            self._answers.read(random.choice(made).id or "")
        self._poll()

    @task(25)
    def create(self) -> None:
        if len(self._records) >= _MOST_RECORDS:
            self._records.pop(0)
        record = Record()
        self._records.append(record)
        self._truth.records.append(record)
        self._write(record, "create")

    @task(15)
    def replace(self) -> None:
        self._change("replace")

    @task(25)
    def merge(self) -> None:
        self._change("merge")

    @task(5)
    def delete(self) -> None:
        self._change("delete")

    def _change(self, kind: str) -> None:
        record = self._one()
        if record is None:
            self.create()
        else:
            self._write(record, kind)

    def _one(self) -> Record | None:
        """A record that stands, as far as its user knows."""
        usable = [record for record in self._records if record.id and not record.deleted and not record.unknown]
        return random.choice(usable) if usable else None

    def _write(self, record: Record, kind: str) -> None:
        write = Write(kind, str(uuid4()), f"m{uuid4().hex[:12]}")
        record.writes.append(write)
        for _ in range(_TRIES):
            status = self._answers.write(record, write)
            if write.effect is not None or write.job is not None:
                break
            time.sleep(_BETWEEN_TRIES)
        if write.job is not None and status not in DONE:
            self._held.append((time.monotonic() + _BETWEEN_POLLS, write))
        self._poll()

    def _poll(self) -> None:
        """Look at the held write whose turn it is, at most one."""
        if not self._held or self._held[0][0] > time.monotonic():
            return
        _, write = self._held.pop(0)
        self._answers.poll(self._truth, write)
        if write.effect is None:
            self._held.append((time.monotonic() + _BETWEEN_POLLS, write))

    def _ask(self, method: str, path: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        with self.client.request(
            method, path, headers=self._headers | headers, json=body, name=_name(path), catch_response=True
        ) as reply:
            expected = (404,) if method == "GET" and path.startswith("/v1/records/") else ()
            if reply.status_code in (*DONE, 202, *expected):
                reply.success()
            else:
                reply.failure(f"{reply.status_code} {_problem(reply)}")
            return reply.status_code, _json(reply)


def _name(path: str) -> str:
    """The route, so that figures of the same kind come together."""
    parts = path.split("/")
    if parts[2] == "jobs":
        return "/v1/jobs/{id}"
    return "/v1/records/{collection}" + ("/{id}" if len(parts) > 4 else "")


def _json(reply: Any) -> Any:
    try:
        return reply.json() if reply.content else None
    except ValueError:
        return None


def _problem(reply: Any) -> str:
    answer = _json(reply)
    return str(answer.get("type", "")) if isinstance(answer, dict) else ""
