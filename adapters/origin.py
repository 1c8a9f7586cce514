"""Who sends over OTLP: the same in all spans, log lines and metrics of one process."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import version
from uuid import uuid4

from opentelemetry.sdk.resources import OTELResourceDetector, Resource


def origin(role: str) -> Resource:
    """What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say comes before what we do."""
    ours: dict[str, str | int] = {
        "service.namespace": "holdfast",
        "service.name": f"holdfast-{role}",
        "service.version": version("holdfast"),
        "service.instance.id": _instance(os.getpid()),
        "process.pid": os.getpid(),
    }
    return Resource.create(ours).merge(OTELResourceDetector().detect())


@cache
def _instance(_pid: int) -> str:
    """Another for a process that was forked."""
    return str(uuid4())
