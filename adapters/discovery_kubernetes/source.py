"""List and watch.

Source: Kubernetes API concepts, "Efficient detection of changes": list, then watch from the list's resourceVersion;
a bookmark moves that version on; a watch that ends is begun again where it ended; 410 Gone means to list again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx

from holdfast.clock import Clock, system_clock
from holdfast.errors import Unavailable
from holdfast.failover import Endpoint, Source
from holdfast.ratelimit import RateLimiter

from ..discovery_http import problem
from .service import KubernetesService, Slice, read_slices

_PAGE = "500"
_GONE = 410


class _Gone(Exception):
    """The server no longer knows the version to go on from."""


def kubernetes(service: KubernetesService, *, clock: Clock = system_clock) -> Source:
    """A source of the Service's endpoints, with their readiness, zone, node and pod.

    One that is not ready is unhealthy. One that shuts down and still serves is degraded, so that it is asked when no
    other is left, as kube-proxy does. The account must be allowed to list and watch `endpointslices`.
    """

    async def source() -> AsyncGenerator[Collection[Endpoint], None]:
        known: list[Endpoint] | None = None
        async with _client(service) as client, aclosing(_Reflector(service, client, clock).changes()) as changes:
            async for slices in changes:
                endpoints = read_slices(slices, service)
                if endpoints != known:
                    known = endpoints
                    yield endpoints

    return source


def _client(service: KubernetesService) -> httpx.AsyncClient:
    timeout = httpx.Timeout(5.0, read=service.watch + 10.0)
    return httpx.AsyncClient(base_url=service.cluster.address(), verify=service.cluster.trust(), timeout=timeout)


class _Reflector:
    """Keeps the EndpointSlices of a Service as the server has them."""

    def __init__(self, service: KubernetesService, client: httpx.AsyncClient, clock: Clock) -> None:
        namespace = service.namespace or service.cluster.namespace()
        self._path = f"/apis/discovery.k8s.io/v1/namespaces/{quote(namespace, safe='')}/endpointslices"
        self._selector = {"labelSelector": f"kubernetes.io/service-name={service.name}"}
        self._service = service
        self._client = client
        self._limiter = RateLimiter(service.rate, clock=clock)
        self._slices: dict[str, Slice] = {}
        self._version = ""

    async def changes(self) -> AsyncGenerator[Collection[Slice], None]:
        """The slices, again whenever they have changed."""
        while True:
            await self._limiter.wait()
            try:
                if not self._version:
                    await self._list()
                    yield self._slices.values()
                async with aclosing(self._watch()) as events:
                    async for event in events:
                        if self._apply(event):
                            yield self._slices.values()
            except _Gone:
                self._version = ""

    async def _list(self) -> None:
        slices: dict[str, Slice] = {}
        params = {**self._selector, "limit": _PAGE}
        while True:
            async with self._get(params) as response:
                page = json.loads(await response.aread())
            slices |= {each["metadata"]["name"]: each for each in page.get("items") or ()}
            if not page["metadata"].get("continue"):
                break
            params["continue"] = page["metadata"]["continue"]
        self._slices, self._version = slices, page["metadata"]["resourceVersion"]

    async def _watch(self) -> AsyncGenerator[Mapping[str, Any], None]:
        """The events since the version, until the server ends the watch."""
        wanted = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(round(self._service.watch))}
        params = {**self._selector, **wanted, "resourceVersion": self._version}
        async with self._get(params) as response:
            async for line in response.aiter_lines():
                if line:
                    yield json.loads(line)

    def _apply(self, event: Mapping[str, Any]) -> bool:
        """Take in one event; whether the slices may have changed."""
        kind, each = event["type"], event["object"]
        if kind == "ERROR":
            raise _Gone if each.get("code") == _GONE else Unavailable(f"the watch failed: {each.get('message')}")
        name, self._version = each["metadata"].get("name", ""), each["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return False
        if kind == "DELETED":
            self._slices.pop(name, None)
        else:
            self._slices[name] = each
        return True

    @asynccontextmanager
    async def _get(self, params: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        headers = self._service.cluster.headers()
        try:
            async with self._client.stream("GET", self._path, params=params, headers=headers) as response:
                if response.status_code == _GONE:
                    raise _Gone
                if response.status_code != 200:
                    raise problem("the API server", response.status_code, await response.aread())
                yield response
        except httpx.TransportError as error:
            raise Unavailable(f"the API server does not answer: {error!r}") from error
