"""The whole OpenAPI document: what the framework knows, and the hot routes that it does not."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ..records.limits import Limits
from . import examples, records
from .parts import HEADERS
from .schemas import SCHEMAS

_TEXT = """\
Writes that outlive their database. A write is applied at once, or held durably and answered with `202` and a job.
`5xx` to a write means that it may or may not have happened: repeating it with the same `Idempotency-Key` is safe.
Errors are problem details (RFC 9457); `type` leads to a page on this server.
"""


def add_document(app: FastAPI, limits: Limits) -> None:
    """Have `app` serve the whole document under its `openapi_url`."""
    app.openapi = lambda: app.openapi_schema or _make(app, limits)  # type: ignore[method-assign]


def _make(app: FastAPI, limits: Limits) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=_TEXT, routes=app.routes)
    made["paths"] = {**records.paths(limits), **made["paths"]}
    components = made.setdefault("components", {})
    components.setdefault("schemas", {}).update(SCHEMAS)
    components["headers"] = HEADERS
    components["examples"] = {slug: {"value": value} for slug, value in examples.problems().items()}
    app.openapi_schema = made
    return made
