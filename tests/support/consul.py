"""A server that speaks the part of Consul's HTTP API that discovery uses: health of a service, blocking queries."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs

from .asgi import answer


def instance(name: str, *checks: str, **service: Any) -> dict[str, Any]:
    """An instance as Consul describes it, whose checks have these results."""
    return {
        "Node": {
            "ID": "40e4a748-2192-161a-0510-9bf59fe950b5",
            "Node": "node-1",
            "Address": "10.1.10.12",
            "Datacenter": "dc1",
            "TaggedAddresses": {"lan": "10.1.10.12"},
            "Meta": {"instance_type": "t2.medium"},
        },
        "Service": {
            "ID": name,
            "Service": "redis",
            "Tags": ["primary"],
            "Address": "10.1.10.13",
            "Meta": {"redis_version": "4.0"},
            "Port": 8000,
            "Weights": {"Passing": 10, "Warning": 1},
        }
        | service,
        "Checks": [{"CheckID": f"check-{n}", "Status": status} for n, status in enumerate(checks)],
    }


class Consul:
    """Holds the instances of one service. A query with the index as it is hangs until something changes.

    queries:   the parameters of each query so far. headers: of the last one.
    fault:     status code to answer with instead.
    busy:      every query is answered at once, as in an incident.
    """

    def __init__(self) -> None:
        self.instances: list[Any] = []
        self.index = 10
        self.queries: list[dict[str, str]] = []
        self.headers: dict[str, str] = {}
        self.path = ""
        self.fault = 0
        self.busy = False
        self.hanging = 0
        self._changed = asyncio.Event()

    def change(self, *instances: Any, index: int | None = None) -> None:
        """These are the instances now."""
        self.instances = list(instances)
        self.index = self.index + 1 if index is None else index
        self._changed.set()
        self._changed = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        self.queries.append(query)
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.path = scope["raw_path"].decode()
        if not self.busy and int(query.get("index", 0)) >= max(1, self.index):
            await self._hang(float(query["wait"].removesuffix("s")), receive)
        if self.fault:
            await answer(send, b"a problem", self.fault)
            return
        await answer(send, json.dumps(self.instances).encode(), X_Consul_Index=str(self.index))

    async def _hang(self, seconds: float, receive: Any) -> None:
        """Until something changes, time is up, or the client hangs up."""
        self.hanging += 1
        ends = {asyncio.ensure_future(self._changed.wait()), asyncio.ensure_future(_hung_up(receive))}
        try:
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.hanging -= 1
            for end in ends:
                end.cancel()


async def _hung_up(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
