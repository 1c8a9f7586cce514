"""Parts of which the routes' descriptions are made."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ..problems import HEAD_TOO_LARGE, INTERNAL, INVALID, OVERLOADED, TARGET_TOO_LONG, Kind
from . import examples
from .schemas import ref

Part = dict[str, Any]

HEADERS: dict[str, Part] = {
    "ETag": {"description": "The version in quotes.", "schema": {"type": "string"}, "example": '"3"'},
    "Location": {"schema": {"type": "string", "format": "uri-reference"}, "example": f"/v1/jobs/{examples.JOB_ID}"},
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}, "example": 2},
    "Idempotent-Replayed": {
        "description": "`true`: the answer to an earlier request with this key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Preference-Applied": {"schema": {"type": "string"}, "example": "wait=10"},
    "Holdfast-Pending": {
        "description": "The job of the youngest operation that is held for this record. `unknown`: the ledger could "
        "not be asked whether there is one.",
        "schema": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string", "enum": ["unknown"]}]},
        "example": examples.JOB_ID,
    },
    "Age": {
        "description": "Seconds since the cache, or the replica, knew it to be current.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 12,
    },
    "Cache-Status": {
        "description": "The store could not be asked, and the cache answered, or a replica "
        "(`holdfast; fwd=stale; detail=replica`): it may be out of date (RFC 9211).",
        "schema": {"type": "string"},
        "example": "holdfast; hit; detail=store-unavailable",
    },
    "Link": {
        "schema": {"type": "string"},
        "example": f'</v1/records/orders?limit=1&cursor={examples.PAGE["next_cursor"]}>; rel="next"',
    },
    "WWW-Authenticate": {
        "description": "RFC 6750",
        "schema": {"type": "string"},
        "example": 'Bearer realm="holdfast", error="invalid_token"',
    },
    "RateLimit-Policy": {
        "description": "`q` requests in `w` seconds.",
        "schema": {"type": "string"},
        "example": '"principal";q=600;w=60',
    },
    "RateLimit": {
        "description": "`r` requests are left; all of them are again in `t` seconds.",
        "schema": {"type": "string"},
        "example": '"principal";r=0;t=60',
    },
    "Allow": {"schema": {"type": "string"}, "example": "GET, HEAD, OPTIONS, POST"},
}


def headers(*names: str) -> Part:
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}} if names else {}


def answer(description: str, schema: str | None = None, *names: str, **shown: Any) -> Part:
    """An answer in JSON; shown: its examples by name."""
    content = (
        {
            "application/json": {
                "schema": ref(schema),
                "examples": {name: {"value": value} for name, value in shown.items()},
            }
        }
        if schema
        else None
    )
    return {"description": description, **headers(*names), **({"content": content} if content else {})}


def problems(*kinds: Kind) -> dict[str, Part]:
    """Answers by status with an example of each of their kinds; those that any request may meet are added."""
    by_status: dict[int, list[Kind]] = defaultdict(list)
    for kind in dict.fromkeys((INVALID, *kinds, TARGET_TOO_LONG, HEAD_TOO_LARGE, INTERNAL, OVERLOADED)):
        by_status[kind.status].append(kind)
    return {str(status): _problem(found) for status, found in sorted(by_status.items())}


def _problem(kinds: list[Kind]) -> Part:
    shown = {kind.slug: {"summary": kind.title, "value": examples.problem(kind)} for kind in kinds}
    waits = kinds[0].status in (429, 503)
    return {
        "description": "; ".join(kind.title for kind in kinds),
        **headers(*(["Retry-After"] if waits else [])),
        "content": {"application/problem+json": {"schema": ref("Problem"), "examples": shown}},
    }


def link(operation: str, **parameters: str) -> Part:
    """Another route to take from an answer."""
    return {"operationId": operation, "parameters": parameters}


def in_header(name: str, description: str, example: str, schema: Part | None = None) -> Part:
    return _parameter("header", name, description, example, schema)


def in_query(name: str, description: str, example: object, schema: Part | None = None) -> Part:
    return _parameter("query", name, description, example, schema)


def _parameter(place: str, name: str, description: str, example: object, schema: Part | None) -> Part:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "description": description,
        "schema": schema or {"type": "string"},
        "example": example,
    }


def in_path(name: str, description: str, example: str, schema: Part) -> Part:
    return _parameter("path", name, description, example, schema)
