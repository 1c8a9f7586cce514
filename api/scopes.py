"""Which scope a key must have, by route."""

from __future__ import annotations

from adapters.keys_file import ADMIN, READ, WRITE, KeyScope

_OPEN = frozenset({"/livez", "/readyz", "/docs", "/openapi.json"})
_MONITORING = frozenset({"/health", "/metrics"})


def required_scope(method: str, path: str, *, monitoring_is_open: bool = False) -> KeyScope | None:
    """The scope that a request needs; None where anyone may ask.

    What is not named here needs `admin`, so that a new route is never open by oversight.
    """
    reads = method in ("GET", "HEAD")
    if path.startswith("/v1/records/"):
        return READ if reads else WRITE
    if path in _OPEN or path.startswith("/problems/") or method == "OPTIONS":
        return None
    if path in _MONITORING:
        return None if monitoring_is_open else READ
    if _is_one_job(path) and (reads or method == "DELETE"):
        return READ if reads else WRITE
    return ADMIN


def _is_one_job(path: str) -> bool:
    return path.startswith("/v1/jobs/") and path.count("/") == 3
