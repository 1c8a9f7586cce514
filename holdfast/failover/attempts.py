"""The log of attempts: who was called, when, and how it went. It is bounded, and keeps no errors alive."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from ..breaker.report import describe
from .errors import ErrorKind, kind_of

Ending = Literal["succeeded", "failed", "skipped", "cancelled"]


@dataclass(frozen=True, slots=True)
class ErrorNote:
    """What is kept of an error: no reference to it, so that its frames can go. at: seconds since the epoch.

    >>> note(TimeoutError("late"), 0.0)
    ErrorNote(kind=<ErrorKind.TIMEOUT: 'timeout'>, type='TimeoutError', text='late', at=0.0)
    """

    kind: ErrorKind
    type: str
    text: str
    at: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One provider, called once or passed over.

    at:       when it ended, seconds since the epoch.
    number:   which call of this provider in the same request, from 1; 0 when it was skipped.
    duration: seconds.

    >>> from holdfast.failover import Failover, Provider
    >>> lengths = Failover("lengths", [Provider(len)])
    >>> lengths.sync_method()("four")
    4
    >>> attempt: Attempt = lengths.attempts()[0]
    >>> attempt.provider, attempt.ending, attempt.error
    ('len', 'succeeded', None)
    """

    at: float
    method: str
    provider: str
    number: int
    ending: Ending
    duration: float = 0.0
    error: ErrorNote | None = None


class AttemptLog:
    """The last `size` attempts."""

    def __init__(self, size: int) -> None:
        self._attempts = deque[Attempt](maxlen=size)

    def add(self, attempt: Attempt) -> None:
        self._attempts.append(attempt)

    def read(self, limit: int, provider: str | None = None) -> list[Attempt]:
        """The latest, newest first."""
        found = [entry for entry in reversed(self._attempts.copy()) if provider in (None, entry.provider)]
        return found[:limit]


def note(error: Exception, at: float) -> ErrorNote:
    """What is kept of an error that came at `at`, seconds since the epoch."""
    known = describe(error)
    return ErrorNote(kind_of(error), known.type, known.text, at)
