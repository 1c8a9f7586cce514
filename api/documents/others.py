"""What the framework cannot tell of its routes: answers, with examples. Each is the keywords of a route."""

from __future__ import annotations

from typing import Any

from fastapi import Path

from ..problems import MEDIA_TYPE, NOT_CANCELLABLE, NOT_FOUND, NOT_RETRIABLE, OUTCOME_UNKNOWN, TOO_LARGE, UNAVAILABLE
from . import examples
from .parts import Part, answer, problems
from .schemas import ref


def _route(name: str, summary: str, responses: Part, **more: Any) -> Part:
    return {"operation_id": name, "summary": summary, "responses": {**problems(), **responses}, **more}


def _health(description: str, **shown: Any) -> Part:
    found = {name: {"value": value} for name, value in shown.items()}
    return {
        "description": description,
        "content": {"application/health+json": {"schema": ref("Health"), "examples": found}},
    }


_EVENTS = {"schema": {"type": "string"}, "examples": {"changes": {"value": examples.EVENTS}}}
_A_JOB = answer(
    "The job as it is.",
    "Job",
    "Retry-After",
    queued=examples.QUEUED,
    succeeded=examples.SUCCEEDED,
    failed=examples.FAILED,
)
_FOLLOWED = {**_A_JOB, "content": {**_A_JOB["content"], "text/event-stream": _EVENTS}}

LIST_JOBS = _route(
    "listJobs",
    "Page through the jobs",
    {"200": answer("A page.", "JobPage", dead=examples.JOBS), **problems(UNAVAILABLE)},
)
GET_JOB = _route(
    "getJob",
    "Poll, wait for or follow a job",
    {
        "200": _FOLLOWED,
        "204": {"description": "The event stream named by `Last-Event-ID` has ended: there is nothing more to follow."},
        **problems(NOT_FOUND, UNAVAILABLE),
    },
)
CANCEL_JOB = _route(
    "cancelJob",
    "Cancel an operation that is still waiting",
    {
        "200": answer("It is cancelled.", "Job", cancelled=examples.CANCELLED),
        **problems(NOT_FOUND, NOT_CANCELLABLE, OUTCOME_UNKNOWN, UNAVAILABLE),
    },
)
RETRY_JOB = _route(
    "retryJob",
    "Retry a dead operation",
    {
        "200": answer("It waits again.", "Job", queued=examples.QUEUED),
        **problems(NOT_FOUND, NOT_RETRIABLE, UNAVAILABLE),
    },
)

LIVEZ = _route("livez", "Liveness", {"200": _health("Alive.", alive={"status": "pass"})})
READYZ = _route(
    "readyz",
    "Readiness",
    {
        "200": _health("Writes can be accepted durably.", ready={"status": "pass"}),
        "503": _health("They cannot, or the process is about to end.", not_ready={"status": "fail"}),
    },
)
HEALTH = _route(
    "health",
    "Health of each dependency",
    {
        "200": _health("All is well, or what is not can be done without.", degraded=examples.HEALTH),
        "503": _health("Neither store nor ledger answers.", failing=examples.HEALTH | {"status": "fail"}),
    },
)
METRICS = _route(
    "metrics",
    "Metrics for Prometheus",
    {
        "200": {
            "description": "The text format of Prometheus.",
            "content": {
                "text/plain": {
                    "schema": {"type": "string"},
                    "examples": {"waiting": {"value": "holdfast_backlog_operations 0.0\n"}},
                }
            },
        }
    },
)

STATS = _route("stats", "Statistics of this process", {"200": answer("Now.", "Stats", now=examples.STATS)})
BREAKERS = _route("listBreakers", "Breakers", {"200": answer("All.", "Breakers", all={"items": [examples.BREAKER]})})
_ACTION = {"schema": ref("BreakerAction"), "examples": {"reset": {"value": {"action": "reset"}}}}
SET_BREAKER = _route(
    "setBreaker",
    "Isolate, release or reset a breaker",
    {"200": answer("As it is now.", "Breaker", closed=examples.BREAKER), **problems(NOT_FOUND, MEDIA_TYPE, TOO_LARGE)},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": _ACTION}}},
)

SLUG = Path(examples=[NOT_FOUND.slug], description="The last part of a problem's `type`.")
_PAGE = {"schema": {"type": "string"}, "examples": {"page": {"value": "# There is no such thing"}}}
PROBLEM_PAGE = _route(
    "problemPage",
    "What a problem means",
    {"200": {"description": "A page.", "content": {"text/markdown": _PAGE}}, **problems(NOT_FOUND)},
)

RESPONSES: dict[str, Part] = {
    route["operation_id"]: route["responses"]
    for route in (
        *(LIST_JOBS, GET_JOB, CANCEL_JOB, RETRY_JOB),
        *(LIVEZ, READYZ, HEALTH, METRICS),
        *(STATS, BREAKERS, SET_BREAKER, PROBLEM_PAGE),
    )
}
