"""What an HTTP answer that is none says of a source of endpoints."""

from __future__ import annotations

from holdfast.errors import Unavailable
from holdfast.failover import AuthFailed, Invalid, Throttled


def problem(who: str, status: int, body: bytes) -> Exception:
    """What to raise for an answer with another status than was hoped for. who: who answered, for the text."""
    told = f"{who} answered {status}: {body[:200].decode(errors='replace')}"
    if status in (401, 403):
        return AuthFailed(told)
    if status == 429:
        return Throttled(told)
    return Unavailable(told) if status >= 500 else Invalid(told)
