"""The shapes of what is sent and answered."""

from __future__ import annotations

from typing import Any

from holdfast.breaker import State as BreakerState
from holdfast.operations.model import Kind, State

from ..problems import KINDS

Schema = dict[str, Any]

_TEXT = r"^[^\u0000]*$"
_TIME: Schema = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC, to the millisecond."}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_SECONDS: Schema = {"type": "number", "minimum": 0}
_PASS: Schema = {"enum": ["pass", "warn", "fail"]}
_BREAKER_STATE: Schema = {"enum": [state.value for state in BreakerState]}
_STATUS: Schema = {"type": "integer", "minimum": 100, "maximum": 599}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: dict[str, Schema], *optional: str, **more: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties, **more}


def _page(items: str) -> Schema:
    cursor = _maybe({"type": "string", "description": "For the next page; null on the last."})
    return _object({"items": {"type": "array", "items": ref(items)}, "next_cursor": cursor})


SCHEMAS: dict[str, Schema] = {
    "Data": {
        "type": "object",
        "description": "A record's data. No name comes twice in an object.",
        "propertyNames": {"pattern": _TEXT},
        "additionalProperties": ref("Value"),
    },
    "StoredData": {"type": "object", "description": "As it was sent, or merged.", "additionalProperties": True},
    "Value": {
        "description": "Whole numbers fit 64 bits and others a double; no text holds U+0000.",
        "anyOf": [
            {"type": ["null", "boolean"]},
            {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
            {"type": "number", "not": {"type": "integer"}},
            {"type": "string", "pattern": _TEXT},
            {"type": "array", "items": ref("Value")},
            ref("Data"),
        ],
    },
    "Record": _object(
        {
            "collection": {"type": "string"},
            "id": {"type": "string"},
            "version": {"type": "integer", "minimum": 1, "description": "One more with each change, deletes included."},
            "data": ref("StoredData"),
            "created_at": _TIME,
            "updated_at": _TIME,
        }
    ),
    "RecordPage": _page("Record"),
    "Job": _object(
        {
            "id": {"type": "string", "format": "uuid", "description": "The operation's id."},
            "state": {"enum": [state.value for state in State]},
            "resource": {"type": "string", "description": "`collection/id`"},
            "kind": {"enum": [kind.value for kind in Kind]},
            "accepted_at": _TIME,
            "attempts": {
                "type": "integer",
                "minimum": 0,
                "description": "Failures by its own fault; an outage counts as none.",
            },
            "next_attempt_at": _maybe(_TIME),
            "last_error": _maybe({"type": "string"}),
            "settled_at": _maybe(_TIME),
            "result": _maybe(ref("Result")),
        }
    ),
    "JobPage": _page("Job"),
    "Result": {
        "description": "What the request would have been answered.",
        "oneOf": [
            _object({"status": _STATUS, "record": _maybe(ref("Record"))}),
            _object({"status": _STATUS, "problem": ref("Problem")}),
        ],
    },
    "Problem": _object(
        {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "enum": [kind.type for kind in KINDS.values()],
                "description": "A page about this type, on this server.",
            },
            "title": {"type": "string"},
            "status": _STATUS,
            "detail": {"type": "string"},
            "errors": {"type": "array", "items": ref("ProblemPlace")},
            "incident": {"type": "string", "format": "uuid", "description": "Under which it was logged."},
        },
        "errors",
        "incident",
        description="RFC 9457",
    ),
    "ProblemPlace": _object(
        {
            "detail": {"type": "string"},
            "pointer": {"type": "string", "description": "JSON pointer into the body"},
            "header": {"type": "string"},
            "parameter": {"type": "string"},
            "path": {"type": "string"},
        },
        *("pointer", "header", "parameter", "path"),
    ),
    "Health": _object(
        {
            "status": _PASS,
            "checks": {"type": "object", "additionalProperties": {"type": "array", "items": ref("HealthCheck")}},
            "backlog": _maybe(ref("Backlog")),
        },
        *("checks", "backlog"),
        description="`backlog` is null while the ledger cannot be asked.",
    ),
    "HealthCheck": _object(
        {
            "componentId": {"type": "string"},
            "componentType": {"type": "string"},
            "observedValue": {"type": "number"},
            "observedUnit": {"const": "ms"},
            "status": _PASS,
            "time": _TIME,
            "breaker": _BREAKER_STATE,
            "output": {"type": "string", "description": "What went wrong."},
        },
        "output",
    ),
    "Stats": _object(
        {
            "requests": ref("Requests"),
            "breakers": {"type": "array", "items": ref("Breaker")},
            "backlog": _maybe(ref("Backlog")),
            "operations": _maybe(ref("Operations")),
        },
        description="`backlog` and `operations` are null while the ledger cannot be asked.",
    ),
    "Requests": _object(
        {
            "count": _COUNT,
            "success_rate": _maybe(_SHARE | {"description": "Answers below 500."}),
            "response_time": ref("ResponseTime"),
            "in_flight": _COUNT,
            "waiting": _COUNT,
            "by_route": {"type": "object", "additionalProperties": ref("Requests")},
        },
        *("in_flight", "waiting", "by_route"),
    ),
    "ResponseTime": _object(
        {name: _maybe(_SECONDS) for name in ("mean", "p50", "p95", "p99")},
        description="Seconds; of the percentiles the next bound of a histogram, null above all.",
    ),
    "Backlog": _object({"waiting": _COUNT, "dead": _COUNT, "mailboxes": _COUNT, "oldest_at": _maybe(_TIME)}),
    "Operations": _object(
        {
            **dict.fromkeys(("held", "succeeded", "failed", "superseded", "cancelled"), _COUNT),
            "replay_time": ref("ResponseTime"),
        },
        description="All that were ever held, by any process: held = all others + dead + waiting of the backlog."
        " `replay_time`: from the hold to the outcome.",
    ),
    "Breakers": _object({"items": {"type": "array", "items": ref("Breaker")}}),
    "Breaker": _object(
        {
            "name": {"type": "string"},
            "state": _BREAKER_STATE,
            "reason": {"type": "string"},
            "calls": _COUNT,
            "failures": _COUNT,
            "slow": _COUNT,
            "failure_rate": _SHARE,
            "slow_rate": _SHARE,
            "since": _TIME,
            "retry_after": _SECONDS,
            "rejected": _COUNT,
            "last_failure": _maybe(_object({"type": {"type": "string", "description": "The error's class."}})),
        }
    ),
    "BreakerAction": _object({"action": {"enum": ["isolate", "release", "reset"]}}, additionalProperties=False),
}
