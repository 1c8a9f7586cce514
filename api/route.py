"""The template of the route that a request took, for what tells of requests."""

from __future__ import annotations

from .answers import Scope
from .records.target import PREFIX


def route_of(scope: Scope) -> str:
    """Such as `/v1/jobs/{id}`, once the request is answered; empty where nothing is served."""
    raw: bytes = scope["raw_path"]
    if raw.startswith(PREFIX):
        return "/v1/records/{collection}/{id}" if b"/" in raw[len(PREFIX) :] else "/v1/records/{collection}"
    return getattr(scope.get("route"), "path", "")
