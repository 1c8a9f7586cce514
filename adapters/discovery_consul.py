"""Endpoints of a service as Consul knows them, followed by blocking queries.

Source: Consul's HTTP API, "List Service Instances for Service" and "Blocking Queries". Of its rules for clients: an
index that goes backwards starts over at none, an index is never below 1, and answers that come thick and fast are
slowed down by a token bucket, while a first change is never delayed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx

from holdfast.clock import Clock, system_clock
from holdfast.errors import Unavailable
from holdfast.failover import Endpoint, HealthStatus, Invalid, Source, read_each
from holdfast.ratelimit import Rate, RateLimiter

from .discovery_http import problem

_STATUS = {"passing": HealthStatus.HEALTHY, "warning": HealthStatus.DEGRADED}


@dataclass(frozen=True, slots=True)
class ConsulService:
    """What to ask Consul for.

    name:       of the service.
    url:        of an agent.
    token:      for access control, if there is any.
    datacenter: another than the agent's.
    tags:       words that an instance must have, all of them.
    where:      a filter expression besides, in Consul's words.
    protocol:   of the endpoints' URLs.
    wait:       seconds that a query may hang, 1 to 600; Consul adds up to a sixteenth.
    rate:       of queries when answers keep changing.
    """

    name: str
    url: str = "http://127.0.0.1:8500"
    token: str | None = None
    datacenter: str | None = None
    tags: tuple[str, ...] = ()
    where: str = ""
    protocol: str = "http"
    wait: float = 60.0
    rate: Rate = field(default_factory=partial(Rate, 1, 2.0, 2))

    def __post_init__(self) -> None:
        if not self.name:
            raise Invalid("a Consul service needs a name")
        if not 1 <= self.wait <= 600:
            raise Invalid(f"wait must be from 1 to 600 seconds, got {self.wait}")

    @property
    def filter(self) -> str:
        parts = [f"{json.dumps(tag)} in Service.Tags" for tag in self.tags]
        return " and ".join([*parts, f"({self.where})"] if self.where else parts)


def consul(service: ConsulService, *, clock: Clock = system_clock) -> Source:
    """A source of the service's instances, with their health, tags, metadata and weights.

    Instances whose checks are critical (maintenance is) are there as unhealthy, those with a warning as degraded.
    """

    async def source() -> AsyncGenerator[Collection[Endpoint], None]:
        limiter = RateLimiter(service.rate, clock=clock)
        index, known = 0, None
        async with _client(service) as client:
            while True:
                await limiter.wait()
                entries, answered = await _query(client, service, index)
                endpoints = read_each(entries, lambda entry: _endpoint(entry, service.protocol))
                if endpoints != known:
                    known = endpoints
                    yield endpoints
                index = 0 if answered < index else max(1, answered)

    return source


def _client(service: ConsulService) -> httpx.AsyncClient:
    headers = {"X-Consul-Token": service.token} if service.token else {}
    timeout = httpx.Timeout(5.0, read=service.wait * 17 / 16 + 5.0)
    return httpx.AsyncClient(base_url=service.url, headers=headers, timeout=timeout)


async def _query(client: httpx.AsyncClient, service: ConsulService, index: int) -> tuple[list[Any], int]:
    """The instances and their index, once it is another than `index`, or time is up."""
    params: dict[str, str] = {}
    if index:
        params |= {"index": str(index), "wait": f"{service.wait:g}s"}
    if service.datacenter:
        params["dc"] = service.datacenter
    if service.filter:
        params["filter"] = service.filter
    try:
        response = await client.get(f"/v1/health/service/{quote(service.name, safe='')}", params=params)
    except httpx.TransportError as error:
        raise Unavailable(f"Consul at {service.url} does not answer: {error!r}") from error
    if response.status_code != 200:
        raise problem("Consul", response.status_code, response.content)
    entries = response.json()
    if not isinstance(entries, list):
        raise Unavailable(f"Consul at {service.url} answered something else")
    return entries, int(response.headers.get("X-Consul-Index", 0))


def _endpoint(entry: Mapping[str, Any], protocol: str) -> Endpoint:
    node, instance = entry["Node"], entry["Service"]
    status = _status(entry["Checks"])
    weights = instance.get("Weights") or {}
    weight = weights.get("Warning" if status is HealthStatus.DEGRADED else "Passing", 1)
    place = {"node": node["Node"], "datacenter": node.get("Datacenter") or ""}
    return Endpoint(
        id=f"{node['Node']}/{instance['ID']}",
        address=instance["Address"] or node["Address"],
        port=instance["Port"],
        protocol=protocol,
        weight=weight,
        tags=frozenset(instance.get("Tags") or ()),
        metadata=place | (node.get("Meta") or {}) | (instance.get("Meta") or {}),
        reported=status,
    )


def _status(checks: Collection[Mapping[str, Any]]) -> HealthStatus:
    """As Consul aggregates: the worst check counts, and what has none is passing."""
    found = {_STATUS.get(check["Status"], HealthStatus.UNHEALTHY) for check in checks}
    for status in (HealthStatus.UNHEALTHY, HealthStatus.DEGRADED):
        if status in found:
            return status
    return HealthStatus.HEALTHY
