"""What an operator sees and sets: statistics and breakers of this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from adapters.assembly import System
from holdfast.breaker import CircuitBreaker
from holdfast.operations.tally import BOUNDS, Tally

from ..documents import others as docs
from ..measures import Measure, Measures, reached_by, total
from ..negotiation import collect, require_media_type
from ..problems import NOT_FOUND, HttpProblem, invalid
from ..records.body import parse, read_body
from ..representations import backlog, timestamp
from ..waiting import Places, Waiting
from .replies import json_reply, no_query

_LARGEST_BODY = 1024
_ACTIONS = ("isolate", "release", "reset")


def router(system: System, measures: Measures, requests: Places, waiting: Waiting) -> APIRouter:
    routes = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(no_query)])

    @routes.get("/stats", **docs.STATS)
    async def stats() -> Response:
        """Success rates and response times since this process began, breakers, and what the ledger knows now."""
        known = await system.ledger_stats()
        return json_reply(
            {
                "requests": _requests(measures, requests, waiting),
                "breakers": _breakers(system.breakers),
                "backlog": backlog(known),
                "operations": None if known is None else _operations(known.tally),
            }
        )

    @routes.get("/breakers", **docs.BREAKERS)
    async def breakers() -> Response:
        """The breakers of this process."""
        return json_reply({"items": _breakers(system.breakers)})

    @routes.post("/breakers/{name}", **docs.SET_BREAKER)
    async def set_breaker(name: str, request: Request) -> Response:
        """`isolate`: nothing passes until `release` (probes go first) or `reset` (closed, counts forgotten)."""
        breaker = system.breakers.get(name)
        if breaker is None:
            raise HttpProblem(NOT_FOUND, f"There is no breaker {name[:100]}; known: {', '.join(system.breakers)}.")
        getattr(breaker, await _action(request))()
        return json_reply(_breaker(breaker))

    return routes


async def _action(request: Request) -> str:
    headers = collect(request.scope["headers"])
    require_media_type(headers, (b"application/json",))
    asked, _ = parse(await read_body(headers, request.receive, limit=_LARGEST_BODY), depth=1)
    action = asked.get("action")
    if action not in _ACTIONS or len(asked) > 1:
        raise invalid(f'the body must be {{"action": ...}}, one of {", ".join(_ACTIONS)}', pointer="#/action")
    return str(action)


def _requests(measures: Measures, requests: Places, waiting: Waiting) -> dict[str, Any]:
    routes = sorted({route for route, _, _ in measures.by_label})
    return {
        **_summary(measures.by_label),
        "in_flight": requests.taken,
        "waiting": waiting.taken,
        "by_route": {
            route: _summary({label: each for label, each in measures.by_label.items() if label[0] == route})
            for route in routes
        },
    }


def _summary(found: Mapping[tuple[str, str, int], Measure]) -> dict[str, Any]:
    whole = total(found.values())
    failed = sum(each.count for (_, _, status), each in found.items() if status >= 500)
    return {
        "count": whole.count,
        "success_rate": 1 - failed / whole.count if whole.count else None,
        "response_time": {
            "mean": whole.mean,
            "p50": whole.below(0.5),
            "p95": whole.below(0.95),
            "p99": whole.below(0.99),
        },
    }


def _breakers(breakers: Mapping[str, CircuitBreaker]) -> list[dict[str, Any]]:
    return [_breaker(each) for each in breakers.values()]


def _breaker(breaker: CircuitBreaker) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(breaker.snapshot())
    shown["since"] = timestamp(shown["since"])
    if shown["last_failure"]:
        del shown["last_failure"]["text"]  # the driver's words are for the log
    return shown


def _operations(tally: Tally) -> dict[str, Any]:
    """What has become of all that was ever held; with what is dead and what waits it adds up to `held`."""
    names = ("held", "succeeded", "failed", "superseded", "cancelled")
    replays = sum(tally.replays)
    return {
        **{name: getattr(tally, name) for name in names},
        "replay_time": {
            "mean": tally.replay_seconds / replays if replays else None,
            **{f"p{share}": reached_by(share / 100, tally.replays, BOUNDS) for share in (50, 95, 99)},
        },
    }
