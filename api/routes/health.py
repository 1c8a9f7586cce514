"""Health for people, orchestrators and Prometheus (draft-inadarei-api-health-check-06)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from adapters.assembly import Dependency, System
from holdfast.health import Status

from ..answers import NOT_STORED, Answer, Header
from ..documents import others as docs
from ..representations import backlog, encode, timestamp
from ..waiting import Waiting
from .replies import no_query, reply

_HEALTH: Header = (b"content-type", b"application/health+json")
_WORDS = {Status.HEALTHY: "pass", Status.DEGRADED: "warn", Status.UNHEALTHY: "fail"}
_TYPES = {"store": "datastore", "ledger": "datastore", "cache": "datastore", "broker": "system"}


def router(system: System, waiting: Waiting) -> APIRouter:
    routes = APIRouter(tags=["health"], dependencies=[Depends(no_query)])

    @routes.get("/livez", **docs.LIVEZ)
    async def livez() -> Response:
        """The process answers. Says nothing of what it depends on, so that no outage gets it restarted."""
        return _reply(Status.HEALTHY)

    @routes.get("/readyz", **docs.READYZ)
    async def readyz() -> Response:
        """Whether this process can accept a write durably, by the store or by the ledger."""
        serving = not waiting.stopping.is_set() and await system.ready()
        return _reply(Status.HEALTHY if serving else Status.UNHEALTHY)

    @routes.get("/health", **docs.HEALTH)
    async def health() -> Response:
        """What it depends on, asked just now: response times, errors, breakers; and the backlog."""
        found, stats = await asyncio.gather(system.health(), system.ledger_stats())
        checks = {f"{name}:responseTime": [_check(name, each)] for name, each in found.items()}
        return _reply(_overall(found), {"checks": checks, "backlog": backlog(stats)})

    @routes.get("/metrics", **docs.METRICS)
    async def metrics() -> Response:
        """All counters, as Prometheus text."""
        body = await system.render_metrics()
        return reply(Answer(200, [(b"content-type", system.metrics.content_type.encode()), NOT_STORED], body))

    return routes


def _overall(found: dict[str, Dependency]) -> Status:
    if all(found[name].status is Status.UNHEALTHY for name in ("store", "ledger")):
        return Status.UNHEALTHY
    well = all(each.status is Status.HEALTHY for each in found.values())
    return Status.HEALTHY if well else Status.DEGRADED


def _check(name: str, found: Dependency) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "componentId": name,
        "componentType": _TYPES.get(name, "component"),
        "observedValue": round(found.seconds * 1000, 3),
        "observedUnit": "ms",
        "status": _WORDS[found.status],
        "time": timestamp(time.time()),
        "breaker": found.breaker.value,
    }
    return shown if found.error is None else shown | {"output": found.error}


def _reply(status: Status, more: Mapping[str, Any] | None = None) -> Response:
    code = 503 if status is Status.UNHEALTHY else 200
    return reply(Answer(code, [_HEALTH, NOT_STORED], encode({"status": _WORDS[status], **(more or {})})))
