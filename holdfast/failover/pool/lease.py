"""One call to one endpoint: counted while it lasts, judged when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from .endpoint import Endpoint

T_co = TypeVar("T_co", covariant=True)


class Lease:
    """Permission to make one call to an endpoint, to be ended by saying how that went. Only the first word counts.

    As a context manager it is ended by how its block ends; cancellation counts as nothing.

    >>> from holdfast.failover import EndpointPool
    >>> lease: Lease = EndpointPool("search", [Endpoint("a", "10.0.0.1", 9200)]).lease()
    >>> lease.endpoint.id
    'a'
    >>> lease.success()
    """

    __slots__ = ("_end", "endpoint")

    def __init__(self, endpoint: Endpoint, end: Callable[[bool, Exception | None], None]) -> None:
        self.endpoint = endpoint
        self._end: Callable[[bool, Exception | None], None] | None = end

    def success(self) -> None:
        """The call went well."""
        self._finish(True, None)

    def failure(self, error: Exception) -> None:
        """The call failed; whether that is held against the endpoint is for the pool's classifier."""
        self._finish(True, error)

    def release(self) -> None:
        """The call was not made, or says nothing."""
        self._finish(False, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: TracebackType | None) -> None:
        if error is None:
            self.success()
        elif isinstance(error, Exception):
            self.failure(error)
        else:
            self.release()

    def _finish(self, made: bool, error: Exception | None) -> None:
        end, self._end = self._end, None
        if end is not None:
            end(made, error)


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An endpoint that was asked and failed. duration: seconds.

    >>> FailedAttempt(Endpoint("a", "10.0.0.1", 9200), TimeoutError("late"), 2.0).error
    TimeoutError('late')
    """

    endpoint: Endpoint
    error: Exception
    duration: float


@dataclass(frozen=True, slots=True)
class PoolExecution(Generic[T_co]):
    """A call that some endpoint answered.

    attempts: calls made, the good one included.
    duration: seconds in all, waits included.
    failures: those before it.

    >>> PoolExecution(Endpoint("a", "10.0.0.1", 9200), "found", attempts=1, duration=0.1).result
    'found'
    """

    endpoint: Endpoint
    result: T_co
    attempts: int
    duration: float
    failures: tuple[FailedAttempt, ...] = ()
