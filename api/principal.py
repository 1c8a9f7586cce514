"""Who asks. The one place that an authentication scheme has to fill in."""

from __future__ import annotations

from collections.abc import Mapping

ANONYMOUS = "anonymous"


def principal_of(headers: Mapping[bytes, bytes]) -> str:  # noqa: ARG001 - the seam for API keys
    """The name under which a request's Idempotency-Keys are kept apart from those of others."""
    return ANONYMOUS
