"""What a breaker tells about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .states import State

_TEXT_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """What is kept of an error: no reference to it, so its frames can go.

    >>> str(Failure("ConnectionError", "nobody there"))
    'ConnectionError: nobody there'
    """

    type: str
    text: str

    def __str__(self) -> str:
        return f"{self.type}: {self.text}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A breaker at one moment.

    calls, failures, slow: in the window while closed; what made it open; good probes while half-open.
    since:       when this state began, seconds since the epoch.
    retry_after: seconds until a call may pass; 0 if it may now.
    rejected:    calls refused since the breaker was made.

    >>> from holdfast.breaker import CircuitBreaker
    >>> snapshot: Snapshot = CircuitBreaker("store").snapshot()
    >>> snapshot.calls, snapshot.reason
    (0, 'made')
    """

    name: str
    state: State
    reason: str
    calls: int
    failures: int
    slow: int
    failure_rate: float
    slow_rate: float
    since: float
    retry_after: float
    rejected: int
    last_failure: Failure | None


def describe(error: BaseException) -> Failure:
    """What is kept of an error: its type and its text, shortened."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error's text is somebody else's code
        text = "(its text could not be made)"
    return Failure(type(error).__qualname__, text[:_TEXT_LIMIT])
