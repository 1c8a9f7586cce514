"""A server that speaks the part of Kubernetes' API that discovery uses: list and watch of EndpointSlices."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs

from .asgi import answer

LABEL = "kubernetes.io/service-name"


def endpoint(address: str, **more: Any) -> dict[str, Any]:
    return {"addresses": [address], "conditions": {"ready": True, "serving": True, "terminating": False}} | more


def endpoint_slice(name: str, *endpoints: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An EndpointSlice of the Service `web` with a port `http`, 8080."""
    return {
        "metadata": {"name": name, "namespace": "shop", "labels": {LABEL: "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": list(endpoints),
    } | more


class Kubernetes:
    """Holds EndpointSlices and their history since `oldest`; older versions are gone.

    requests: the parameters of each request so far. tokens: the credentials that came with each.
    fault:    status code to answer with instead.
    """

    def __init__(self, *slices: dict[str, Any]) -> None:
        self.slices: dict[str, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self.version = 100
        self.oldest = 100
        self.requests: list[dict[str, str]] = []
        self.tokens: list[str] = []
        self.path = ""
        self.fault = 0
        self.page = 0
        self.watching = 0
        self._told = asyncio.Event()
        self._ended = asyncio.Event()
        for each in slices:
            self.put(each)

    def put(self, each: dict[str, Any]) -> None:
        kind = "MODIFIED" if each["metadata"]["name"] in self.slices else "ADDED"
        self.slices[each["metadata"]["name"]] = self._tell(kind, each)

    def delete(self, name: str) -> None:
        self._tell("DELETED", self.slices.pop(name))

    def bookmark(self) -> None:
        """Nothing of interest has happened up to now, though much else has."""
        self.version += 50
        self._tell("BOOKMARK", {"kind": "EndpointSlice", "metadata": {}})

    def fail(self, code: int) -> None:
        """Tell those who watch that something went wrong."""
        self._tell("ERROR", {"kind": "Status", "code": code, "message": "told by the test", "metadata": {}})

    def forget(self) -> None:
        """Nobody can go on from what is past."""
        self.oldest = self.version

    def end_watches(self) -> None:
        self._ended.set()
        self._ended = asyncio.Event()

    @property
    def lists(self) -> list[dict[str, str]]:
        return [request for request in self.requests if "watch" not in request]

    @property
    def watches(self) -> list[dict[str, str]]:
        return [request for request in self.requests if "watch" in request]

    def watched(self, times: int) -> bool:
        """Whether the watch that goes on is this one, counted from 1."""
        return len(self.watches) == times and self.watching > 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        self.requests.append(query)
        self.tokens.append(dict(scope["headers"]).get(b"authorization", b"").decode())
        self.path = scope["raw_path"].decode()
        if self.fault:
            await answer(send, b"a problem", self.fault)
        elif "watch" in query:
            await self._watch(int(query["resourceVersion"]), receive, send)
        else:
            await self._list(query, send)

    async def _list(self, query: dict[str, str], send: Any) -> None:
        names = sorted(self.slices)
        start = int(query.get("continue", 0))
        size = self.page or int(query["limit"])
        more = str(start + size) if start + size < len(names) else ""
        metadata = {"resourceVersion": str(self.version), "continue": more}
        items = [self.slices[name] for name in names[start : start + size]]
        body = {"kind": "EndpointSliceList", "metadata": metadata, "items": items}
        await answer(send, json.dumps(body).encode())

    async def _watch(self, since: int, receive: Any, send: Any) -> None:
        if since < self.oldest:
            await answer(send, json.dumps({"kind": "Status", "code": 410, "reason": "Expired"}).encode(), 410)
            return
        ended, gone = self._ended, asyncio.ensure_future(_hung_up(receive))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.watching += 1
        try:
            while True:
                told, over = self._told, ended.is_set() or gone.done()
                for event in [each for each in self.history if _version(each) > since]:
                    since = _version(event)
                    await send(_chunk(event))
                if over:
                    break
                await _first(told.wait(), ended.wait(), gone)
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.watching -= 1
            gone.cancel()

    def _tell(self, kind: str, each: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        each = each | {"metadata": each["metadata"] | {"resourceVersion": str(self.version)}}
        self.history.append({"type": kind, "object": each})
        self._told.set()
        self._told = asyncio.Event()
        return each


def _version(event: dict[str, Any]) -> int:
    return int(event["object"]["metadata"]["resourceVersion"])


def _chunk(event: dict[str, Any]) -> dict[str, Any]:
    return {"type": "http.response.body", "body": json.dumps(event).encode() + b"\n", "more_body": True}


async def _first(*waits: Any) -> None:
    futures = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in futures[:-1]:
            future.cancel()


async def _hung_up(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
