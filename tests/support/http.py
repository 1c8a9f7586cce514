"""The API over HTTP, as a client uses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPResponse
from socket import create_connection
from ssl import SSLContext
from threading import local
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx

from .processes import wait_until

T = TypeVar("T")

# How long a client waits for anything: far longer than it takes on a machine that others use too.
PATIENCE = 60.0


class PerThread:
    """A client of its own for each thread: those that share one now and then close each other's connections.

    httpcore looks first whether a connection is idle, and then whether there is something to read on it.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._make = partial(httpx.Client, base_url=url, timeout=PATIENCE, verify=False, **options)  # no TLS: no roots
        self._own = local()
        self._all: list[httpx.Client] = []

    @property
    def mine(self) -> httpx.Client:
        found: httpx.Client | None = getattr(self._own, "client", None)
        if found is None:
            found = self._own.client = self._make()
            self._all.append(found)
        return found

    def close(self) -> None:
        """All of them, when no thread uses its own any more."""
        for client in self._all:
            client.close()


class Client:
    """Writes and reads in one collection. What else a call takes are header fields: `idempotency_key="…"`.

    Shared freely by threads.
    """

    def __init__(self, url: str, collection: str) -> None:
        self.url = url
        self.path = f"/v1/records/{collection}"
        self._clients = PerThread(url)

    @property
    def http(self) -> httpx.Client:
        return self._clients.mine

    def create(self, data: Mapping[str, Any], **fields: str) -> httpx.Response:
        return self.http.post(self.path, json=data, headers=_headers(fields))

    def replace(self, id_: str, data: Mapping[str, Any], **fields: str) -> httpx.Response:
        return self.http.put(f"{self.path}/{id_}", json=data, headers=_headers(fields))

    def merge(self, id_: str, data: Mapping[str, Any], **fields: str) -> httpx.Response:
        headers = {"content-type": "application/merge-patch+json"} | _headers(fields)
        return self.http.patch(f"{self.path}/{id_}", json=data, headers=headers)

    def delete(self, id_: str, **fields: str) -> httpx.Response:
        return self.http.delete(f"{self.path}/{id_}", headers=_headers(fields))

    def get(self, id_: str, query: str = "", **fields: str) -> httpx.Response:
        return self.http.get(f"{self.path}/{id_}{query}", headers=_headers(fields))

    def stored(self, id_: str) -> dict[str, Any]:
        """The record as the store has it, once the API has found out that the store is there."""
        found: list[httpx.Response] = []

        def is_fresh() -> bool:
            found[:] = [self.get(id_)]
            return "age" not in found[0].headers and found[0].status_code == 200

        wait_until(is_fresh, f"the store tells of {id_}", seconds=PATIENCE)
        return dict(found[0].json())

    def records(self) -> Iterator[dict[str, Any]]:
        """Every record of the collection, page after page, once the API has found out that the store is there."""
        target: str | None = f"{self.path}?limit=500"
        while target is not None:
            answer = repeated(partial(self.http.get, target))
            assert answer.status_code == 200, answer.text
            yield from answer.json()["items"]
            target = answer.links["next"]["url"] if "next" in answer.links else None

    def job(self, held: httpx.Response, *, wait: int = 0) -> dict[str, Any]:
        """The job of a write that was answered 202."""
        assert held.status_code == 202, held.text
        answer = self.http.get(held.headers["location"], params={"wait": wait} if wait else {})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def settled(self, held: httpx.Response) -> dict[str, Any]:
        """The job once it is settled."""
        ends = time.monotonic() + PATIENCE
        while not (job := self.job(held, wait=20))["settled_at"]:
            assert time.monotonic() < ends, f"not settled: {job}"
        return job

    def all_settled(self, held: Sequence[httpx.Response]) -> list[dict[str, Any]]:
        return [self.settled(each) for each in held]

    def backlog(self) -> int:
        return int(self.http.get("/admin/stats").json()["backlog"]["waiting"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._clients.close()


def problem(answer: httpx.Response) -> str:
    """The type of the problem which this answer is, as one well-formed."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    return str(body["type"])


def is_alive(client: Client) -> bool:
    try:
        return client.http.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def until_the_store_is_back(client: Client) -> None:
    """Return when the API has found out that it is; no write is made, which might still be held."""
    wait_until(lambda: client.get("absent").status_code == 404, "the store is asked again", seconds=PATIENCE)


def until_the_ledger_is_back(client: Client) -> None:
    """Return when the API has found out that it is; before, a write goes to the store whatever it prefers."""
    wait_until(lambda: client.http.get("/v1/jobs").status_code == 200, "the ledger is asked again", seconds=PATIENCE)


def at_once(calls: Iterable[Callable[[], T]], *, threads: int = 16) -> list[T]:
    """The results of calls made by so many clients at the same time, in the order of the calls."""
    with ThreadPoolExecutor(threads) as pool:
        return [made.result() for made in [pool.submit(call) for call in calls]]


def repeated(call: Callable[[], httpx.Response]) -> httpx.Response:
    """The first answer that is definite, as a client gets it that repeats what failed or was left unsure."""
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            answer = call()
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code < 500:
            return answer
        assert time.monotonic() < ends, answer.text if answer else "nobody answers"
        time.sleep(0.05)


def raw(url: str, request: bytes) -> tuple[int, bytes]:
    """Send these bytes on a connection of their own; the status and body of the answer."""
    parts = urlsplit(url)
    with create_connection((parts.hostname, parts.port or 80), timeout=PATIENCE) as connection:
        connection.sendall(request)
        with HTTPResponse(connection) as answer:
            answer.begin()
            return answer.status, answer.read()


def raw_tls(url: str, request: bytes, context: SSLContext) -> tuple[int, bytes]:
    """The same through TLS."""
    parts = urlsplit(url)
    address = (parts.hostname, parts.port or 443)
    with (
        create_connection(address, timeout=PATIENCE) as connection,
        context.wrap_socket(connection, server_hostname=parts.hostname) as wrapped,
    ):
        wrapped.sendall(request)
        with HTTPResponse(wrapped) as answer:
            answer.begin()
            return answer.status, answer.read()


def _headers(fields: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in fields.items()}
