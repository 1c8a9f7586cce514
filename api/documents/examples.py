"""One story in all examples: an order, written and read, also while the store is away."""

from __future__ import annotations

from typing import Any

from ..problems import KINDS, PRECONDITION, Kind, details
from ..records.target import cursor_after

DATA: dict[str, Any] = {"item": "teapot", "quantity": 1, "ship_to": {"city": "Lisbon"}}
PATCH: dict[str, Any] = {"quantity": 2, "ship_to": {"city": "Porto"}, "note": None}

RECORD: dict[str, Any] = {
    "collection": "orders",
    "id": "0197f3a2c4d87b1e9a6554c1d2e3f405",
    "version": 3,
    "data": DATA,
    "created_at": "2026-07-10T09:15:02.117Z",
    "updated_at": "2026-07-10T09:20:44.860Z",
}
NEW_RECORD = RECORD | {"version": 1, "updated_at": RECORD["created_at"]}
PAGE = {"items": [RECORD], "next_cursor": cursor_after(RECORD["id"])}

JOB_ID = "0197f3a2-c4d8-7b1e-9a65-54c1d2e3f405"
QUEUED: dict[str, Any] = {
    "id": JOB_ID,
    "state": "queued",
    "resource": f"orders/{RECORD['id']}",
    "kind": "create",
    "accepted_at": "2026-07-10T09:15:02.117Z",
    "attempts": 0,
    "next_attempt_at": "2026-07-10T09:15:03.117Z",
    "last_error": None,
    "settled_at": None,
    "result": None,
}
_SETTLED = QUEUED | {"next_attempt_at": None, "settled_at": "2026-07-10T09:17:30.002Z"}
SUCCEEDED = _SETTLED | {"state": "succeeded", "result": {"status": 201, "record": NEW_RECORD}}
FAILED = _SETTLED | {
    "state": "failed",
    "kind": "replace",
    "result": {
        "status": PRECONDITION.status,
        "problem": details(PRECONDITION, f"orders/{RECORD['id']} is at version 3"),
    },
}
DEAD = _SETTLED | {"state": "dead", "attempts": 8, "last_error": "DataError; the log says more"}
CANCELLED = _SETTLED | {"state": "cancelled"}
JOBS = {"items": [DEAD], "next_cursor": None}

BREAKER: dict[str, Any] = {
    "name": "store",
    "state": "closed",
    "reason": "made",
    "calls": 6,
    "failures": 0,
    "slow": 0,
    "failure_rate": 0.0,
    "slow_rate": 0.0,
    "since": "2026-07-10T09:00:00.000Z",
    "retry_after": 0.0,
    "rejected": 0,
    "last_failure": None,
}
_REQUESTS: dict[str, Any] = {
    "count": 1200,
    "success_rate": 1.0,
    "response_time": {"mean": 0.0031, "p50": 0.0025, "p95": 0.005, "p99": 0.01},
}
STATS: dict[str, Any] = {
    "requests": _REQUESTS | {"in_flight": 3, "waiting": 0, "by_route": {"/v1/records/{collection}": _REQUESTS}},
    "breakers": [BREAKER],
    "backlog": {"waiting": 0, "dead": 0, "mailboxes": 0, "oldest_at": None},
    "operations": {
        "held": 412,
        "succeeded": 408,
        "failed": 3,
        "superseded": 0,
        "cancelled": 1,
        "replay_time": {"mean": 11.2, "p50": 10.0, "p95": 30.0, "p99": 30.0},
    },
}
HEALTH: dict[str, Any] = {
    "status": "warn",
    "checks": {
        "store:responseTime": [
            {
                "componentId": "store",
                "componentType": "datastore",
                "observedValue": 1000.4,
                "observedUnit": "ms",
                "status": "fail",
                "time": "2026-07-10T09:15:02.117Z",
                "breaker": "open",
                "output": "Abandoned: no answer within 1 s",
            }
        ]
    },
    "backlog": {"waiting": 12, "dead": 0, "mailboxes": 9, "oldest_at": "2026-07-10T09:14:58.300Z"},
}

EVENTS = 'retry: 2000\n\nid: queued-0\nevent: job\ndata: {"id": "0197f3a2-…", "state": "queued", …}\n\n'

_DETAILS = {
    "invalid-request": "#/quantity: a number must fit a double",
    "unauthenticated": "The key is not known here.",
    "insufficient-scope": "This needs a key with the scope write.",
    "not-found": "There is no record orders/42.",
    "unknown-path": "There is nothing at /v2/records.",
    "method-not-allowed": "Allowed here: GET, HEAD, OPTIONS, POST.",
    "request-timeout": "The request did not arrive whole within 30 seconds.",
    "already-exists": "orders/42 exists already, at version 1",
    "superseded": "orders/42 was written directly after this operation was accepted",
    "operation-cancelled": "The operation of this Idempotency-Key was cancelled; send a new one.",
    "not-cancellable": "The job is running, or its operation may have happened.",
    "not-retriable": "The job is succeeded.",
    "precondition-failed": "orders/42 is at version 3",
    "content-too-large": "The body may have at most 1048576 bytes.",
    "target-too-long": "The request target may have at most 8192 bytes.",
    "unsupported-media-type": "Send the body as application/json, in UTF-8.",
    "idempotency-key-reused": "the Idempotency-Key of this request was used before, for another one",
    "unstorable": "the store cannot keep this record: a value is too large",
    "rate-limited": "At most 600 requests in 60 s. Nothing has happened.",
    "headers-too-large": "The header fields may have at most 32768 bytes.",
    "internal-error": "This has been logged as incident 5f0e8b1c-…. Whether the request took effect is not known.",
    "overloaded": "Too much is going on here. Nothing has happened: repeat it later.",
    "unavailable": "What this request needs cannot be reached now. Nothing has happened: repeat it later.",
    "outcome-unknown": "No answer came in time. Repeat the request with the same Idempotency-Key:"
    " that is safe, and tells.",
}


def problem(kind: Kind) -> dict[str, Any]:
    """The problem as a client may meet it."""
    shown = details(kind, _DETAILS[kind.slug])
    if kind.slug == "invalid-request":
        shown["errors"] = [{"detail": shown["detail"], "pointer": "#/quantity"}]
    if kind.slug == "internal-error":
        shown["incident"] = "5f0e8b1c-9f63-4a55-8a0c-1a6a5f6c0d7e"
    return shown


def problems() -> dict[str, dict[str, Any]]:
    """An example of every type."""
    return {slug: problem(kind) for slug, kind in KINDS.items()}
