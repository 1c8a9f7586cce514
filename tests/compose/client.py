"""The API as its clients see it, by the published ports of all its containers in turn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx

from tests.support.http import PerThread
from tests.support.processes import wait_until

_AT_ONCE = 8
_PATIENCE = 60.0
_SETTLED = {"succeeded", "failed", "dead", "cancelled"}


class Written(NamedTuple):
    number: int
    status: int
    location: str


class Client:
    """One collection of records; record n holds `{"number": n}`."""

    def __init__(self, urls: Sequence[str], key: str, collection: str) -> None:
        self._collection = collection
        self._records = f"/v1/records/{collection}"
        headers = {"Authorization": f"Bearer {key}"}
        self._turns = itertools.cycle([PerThread(url, headers=headers) for url in urls])

    def write(self, numbers: Sequence[int]) -> list[Written]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self.create, numbers))

    def create(self, number: int) -> Written:
        """Repeat it while the answer asks for that, as clients do. Raises httpx.HTTPError."""
        headers = {"Idempotency-Key": f'"{self._collection}-{number}"'}
        answer = self._patiently(lambda http: http.post(self._records, json={"number": number}, headers=headers))
        return Written(number, answer.status_code, answer.headers["Location"])

    def get(self, path: str) -> httpx.Response:
        return self._patiently(lambda http: http.get(path))

    def known(self) -> str:
        """The path of a record that has been read, and so is in the cache."""
        path = f"{self._records}/{next(self.all())['id']}"
        self.get(path)
        return path

    def cached(self, path: str) -> bool:
        """Whether this record is shown from the cache, for want of the store."""
        return "detail=store-unavailable" in self._next().get(path).headers.get("Cache-Status", "")

    def _patiently(self, ask: Callable[[httpx.Client], httpx.Response]) -> httpx.Response:
        answers: list[httpx.Response] = []

        def is_definite() -> bool:
            answers.append(ask(self._next()))
            return not (answers[-1].is_error and "Retry-After" in answers[-1].headers)

        wait_until(is_definite, "an answer that does not ask to be asked again", seconds=_PATIENCE)
        return answers[-1].raise_for_status()

    def ends(self, written: Sequence[Written]) -> Iterator[str]:
        """The final state of each job, once it is settled."""
        for each in written:
            if each.status == httpx.codes.ACCEPTED:
                yield self._end(each.location)

    def _end(self, job: str) -> str:
        states: list[str] = []

        def settled() -> bool:
            states.append(self.get(f"{job}?wait=10").json()["state"])
            return states[-1] in _SETTLED

        wait_until(settled, f"{job} is settled", seconds=120)
        return states[-1]

    def all(self) -> Iterator[dict[str, Any]]:
        """Every record of the collection."""
        url: str | None = f"{self._records}?limit=200"
        while url:
            page = self.get(url)
            yield from page.json()["items"]
            url = page.links.get("next", {}).get("url")

    def _next(self) -> httpx.Client:
        return next(self._turns).mine
