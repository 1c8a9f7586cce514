"""Who sends over OTLP, as an OpenTelemetry resource: the same for all spans, log lines and metrics of a process."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import version
from uuid import uuid4

from opentelemetry.sdk.resources import OTELResourceDetector, Resource


def otel_resource(role: str) -> Resource:
    """This process in the given role; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES count before what we say."""
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
    """The cache is copied by a fork, so the child asks by its own pid and gets an id of its own."""
    return str(uuid4())
