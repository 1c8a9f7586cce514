"""The errors of failover, and the two questions that it asks of any error: what kind, and does the next one help?

HoldfastError
├── Transient
│   ├── Unavailable
│   │   └── NoCandidate           there is nobody to call
│   └── AllFailed                 everyone was tried or skipped; carries every error
│       ├── AllProvidersFailed
│       └── AllEndpointsFailed
└── Permanent
    ├── AuthFailed              bad credentials, or not allowed
    ├── Invalid                 a bad request or a bad definition; a ValueError too
    └── NotFound                an unknown name; a LookupError too

Errors are told apart by their type, never by their text.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

from ..breaker import Verdict
from ..errors import (
    CircuitOpen,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    Rejected,
    Throttled,
    TimedOut,
    Transient,
    Unavailable,
)

if TYPE_CHECKING:
    from .outcomes import Failed
    from .pool.lease import FailedAttempt

_log = logging.getLogger(__name__)

FailOverOn = Callable[[Exception], bool]


class NoCandidate(Unavailable):
    """There is nobody to call.

    >>> from holdfast.failover import EndpointPool
    >>> EndpointPool("search").select()
    Traceback (most recent call last):
        ...
    holdfast.failover.errors.NoCandidate: no endpoint of 'search' can be asked now
    """


class AuthFailed(Permanent):
    """The other side does not accept who asks."""


class Invalid(Permanent, ValueError):
    """What was asked for, or described, is wrong in itself."""


class NotFound(Permanent, LookupError):
    """There is nothing of that name."""


class AllFailed(Transient, ExceptionGroup[Exception]):
    """Nobody could do it. `exceptions` holds the error of each, in the order in which they were tried.

    retry_after: seconds until one of those that refused may be willing again; 0 when none said.
    unsure:      one of them may have done it all the same.

    >>> failed = AllFailed("nobody could do it", [RateLimited("spent", 2.0), ConnectionResetError()])
    >>> failed.retry_after, failed.unsure
    (2.0, True)
    """

    @property
    def retry_after(self) -> float:
        waits = [error.retry_after for error in self.exceptions if isinstance(error, (Rejected, Throttled))]
        return min(waits, default=0.0)

    @property
    def unsure(self) -> bool:
        return not all(nothing_happened(error) or isinstance(error, Permanent) for error in self.exceptions)


class AllProvidersFailed(AllFailed):
    """No provider could do it. outcomes: who was asked or skipped, how often and how long, in the same order.

    >>> from holdfast.failover import sync_functions
    >>> def send(text):
    ...     raise ConnectionRefusedError
    >>> try:
    ...     sync_functions("mail", send)("hello")
    ... except AllProvidersFailed as failed:
    ...     failed.outcomes[0].provider, failed.exceptions
    ('send', (ConnectionRefusedError(),))
    """

    outcomes: tuple[Failed, ...] = ()


class AllEndpointsFailed(AllFailed):
    """No endpoint could do it. failures: which one was asked, and how long it took, in the same order.

    >>> from holdfast.failover import Endpoint, EndpointPool, PoolOptions
    >>> def search(endpoint):
    ...     raise ConnectionRefusedError
    >>> try:
    ...     pool = EndpointPool("search", [Endpoint("a", "10.0.0.1", 9200)], options=PoolOptions(attempts=1))
    ...     pool.execute_with_failover(search)
    ... except AllEndpointsFailed as failed:
    ...     [(failure.endpoint.id, failure.error) for failure in failed.failures]
    [('a', ConnectionRefusedError())]
    """

    failures: tuple[FailedAttempt, ...] = ()


class ErrorKind(StrEnum):
    """What kind of trouble an error is, for logs and statistics."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    CIRCUIT_OPEN = "circuit_open"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    AUTH = "auth"
    VALIDATION = "validation"
    NOT_FOUND = "not_found"
    PERMANENT = "permanent"
    INTERNAL = "internal"


# The first that fits counts, so a class comes before those it derives from.
_KINDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], ErrorKind], ...] = (
    (CircuitOpen, ErrorKind.CIRCUIT_OPEN),
    ((RateLimited, Throttled), ErrorKind.RATE_LIMITED),
    (Rejected, ErrorKind.REJECTED),
    ((TimedOut, TimeoutError), ErrorKind.TIMEOUT),
    (AuthFailed, ErrorKind.AUTH),
    (Invalid, ErrorKind.VALIDATION),
    (NotFound, ErrorKind.NOT_FOUND),
    (Permanent, ErrorKind.PERMANENT),
    (Unavailable, ErrorKind.UNAVAILABLE),
    ((ConnectionError, OutcomeUnknown, OSError), ErrorKind.CONNECTION),
    (Transient, ErrorKind.UNAVAILABLE),
)


def kind_of(error: Exception) -> ErrorKind:
    """The kind of an error, by its type; `internal` for what nobody foresaw.

    >>> kind_of(ConnectionResetError())
    <ErrorKind.CONNECTION: 'connection'>
    >>> kind_of(KeyError("a bug"))
    <ErrorKind.INTERNAL: 'internal'>
    >>> [kind_of(error).value for error in (AuthFailed("who?"), Invalid("what?"), NotFound("where?"))]
    ['auth', 'validation', 'not_found']
    """
    return next((kind for types, kind in _KINDS if isinstance(error, types)), ErrorKind.INTERNAL)


def unless_permanent(error: Exception) -> bool:
    """Go on after every error but a Permanent one. A call that timed out may then be made twice, by two.

    >>> unless_permanent(TimeoutError()), unless_permanent(Invalid("no such account"))
    (True, False)
    """
    return not isinstance(error, Permanent)


def nothing_happened(error: Exception) -> bool:
    """Go on only when the call has surely had no effect: for what must not be done twice.

    >>> question: FailOverOn = nothing_happened
    >>> question(ConnectionRefusedError()), question(TimeoutError())
    (True, False)
    """
    return isinstance(error, (Unavailable, Rejected, ConnectionRefusedError, socket.gaierror))


def verdict_on(error: Exception, classify: Callable[[Exception], Verdict]) -> Verdict:
    """Ask the classifier what an error says of the other side; one that fails itself is logged and means failure."""
    try:
        return classify(error)
    except Exception:  # noqa: BLE001 - a classifier is somebody else's code
        _log.exception("the classifier failed on %r", type(error))
        return Verdict.FAILURE
