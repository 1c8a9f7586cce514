"""The demo as a client of the API: plain HTTP, nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import httpx

_PATIENCE = 30.0


class Written(NamedTuple):
    """The answer to a write. job: its id where the write was held."""

    status: int
    location: str
    job: str | None


class Client:
    """One collection of records, used as any client would use it: with the key in HOLDFAST_API_KEY, if there is one."""

    def __init__(self, url: str, collection: str) -> None:
        self.collection = collection
        key = os.environ.get("HOLDFAST_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, timeout=30.0, headers=headers)
        self._records = f"/v1/records/{collection}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def create(self, number: int) -> Written:
        """Write record `number`, with a key that makes repeating it harmless."""
        key = f"{self.collection}-{number}"
        answer = self._http.post(self._records, json={"number": number}, headers={"Idempotency-Key": f'"{key}"'})
        answer.raise_for_status()
        job = answer.json()["id"] if answer.status_code == httpx.codes.ACCEPTED else None
        return Written(answer.status_code, answer.headers["Location"], job)

    def read(self, location: str) -> httpx.Response:
        return self._http.get(location)

    def settled(self, jobs: list[str], timeout: float) -> Iterator[str]:
        """The final state of each job, as it comes; ends early when the time is up."""
        deadline = time.monotonic() + timeout
        for job in jobs:
            state = self._job(job)["state"]
            while state not in ("succeeded", "failed", "dead", "cancelled") and time.monotonic() < deadline:
                state = self._job(job, wait=5)["state"]
            yield state

    def _job(self, id_: str, wait: int = 0) -> dict[str, Any]:
        job: dict[str, Any] = self._get(f"/v1/jobs/{id_}?wait={wait}").json()
        return job

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record of the collection, page by page."""
        url: str | None = f"{self._records}?limit=100"
        while url:
            page = self._get(url)
            yield from page.json()["items"]
            url = page.links.get("next", {}).get("url")

    def _get(self, url: str) -> httpx.Response:
        """The answer, after a 503 when it says that one may come."""
        deadline = time.monotonic() + _PATIENCE
        while (answer := self._http.get(url)).status_code == httpx.codes.SERVICE_UNAVAILABLE:
            if time.monotonic() > deadline:
                break
            time.sleep(float(answer.headers["Retry-After"]))
        return answer.raise_for_status()
