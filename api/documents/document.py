"""The whole OpenAPI document: what the framework knows, and the hot routes that it does not."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ..records.limits import Limits
from . import examples, records
from .others import RESPONSES
from .parts import HEADERS
from .schemas import SCHEMAS
from .security import SCHEMES, secured

_TEXT = """\
Writes that outlive their database. A write is applied at once, or held durably and answered with `202` and a job.
`5xx` to a write means that it may or may not have happened: repeating it with the same `Idempotency-Key` is safe.
Errors are problem details (RFC 9457); `type` leads to a page on this server.
"""


def add_document(
    app: FastAPI, limits: Limits, *, keys_are_needed: bool = False, monitoring_is_open: bool = False
) -> None:
    """Have `app` serve the whole document under its `openapi_url`."""

    def document() -> dict[str, Any]:
        if not app.openapi_schema:
            made = _make(app, limits)
            made["paths"] = secured(made["paths"], required=keys_are_needed, monitoring_is_open=monitoring_is_open)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _make(app: FastAPI, limits: Limits) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=_TEXT, routes=app.routes)
    made["paths"] = {**records.paths(limits), **_as_answered(made["paths"])}
    schemas = made["components"]["schemas"]
    made["components"] = {
        "schemas": {**{name: schemas[name] for name in schemas if "ValidationError" not in name}, **SCHEMAS},
        "headers": HEADERS,
        "securitySchemes": SCHEMES,
        "examples": {slug: {"value": value} for slug, value in examples.problems().items()},
    }
    return made


def _as_answered(paths: dict[str, Any]) -> dict[str, Any]:
    """The framework leaves every null out of the examples, and adds a 422 where the answer is 400."""
    for operations in paths.values():
        for operation in operations.values():
            operation["responses"] = RESPONSES[operation["operationId"]]
    return paths
