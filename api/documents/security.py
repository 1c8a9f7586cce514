"""Who may ask what, in the terms of the OpenAPI document."""

from __future__ import annotations

from typing import Any

from ..problems import INSUFFICIENT_SCOPE, RATE_LIMITED, UNAUTHENTICATED
from ..scopes import required_scope
from .parts import Part, headers, problems

SCHEMES: dict[str, Part] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, made by `holdfast keys create`. Without a file of keys none is asked for.",
    }
}
_METHODS = ("get", "post", "put", "patch", "delete")
_LIMITS = ("RateLimit", "RateLimit-Policy")


def secured(paths: dict[str, Any], *, required: bool, monitoring_is_open: bool) -> dict[str, Any]:
    """The same paths, with the scope that each operation needs and the answers to a request without it."""
    return {
        path: {
            key: _secured(part, path, key, required, monitoring_is_open) if key in _METHODS else part
            for key, part in item.items()
        }
        for path, item in paths.items()
    }


def _secured(operation: Part, path: str, method: str, required: bool, monitoring_is_open: bool) -> Part:
    scope = required_scope(method.upper(), path, monitoring_is_open=monitoring_is_open)
    if scope is None:
        return {**operation, "security": []}
    text = f"{operation.get('description', '')}\n\nNeeds a key with the scope `{scope}`, where keys are asked for."
    return {
        **operation,
        "description": text.strip(),
        "responses": {**operation["responses"], **_REFUSALS},
        "security": [{"key": []}] if required else [],
    }


def _refusals() -> Part:
    answers = problems(UNAUTHENTICATED, INSUFFICIENT_SCOPE, RATE_LIMITED)
    told = {"401": ("WWW-Authenticate",), "403": ("WWW-Authenticate",), "429": ("Retry-After", *_LIMITS)}
    return {status: {**answers[status], **headers(*names)} for status, names in told.items()}


_REFUSALS = _refusals()
