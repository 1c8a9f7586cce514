"""The errors that holdfast raises, and the classes that it sorts others into.

HoldfastError
├── Transient             the same call may succeed later
│   ├── Unavailable         it was not attempted: nothing has happened
│   │   └── Throttled         the other side's own rate is spent (429)
│   └── OutcomeUnknown      it may or may not have happened: repeat it only with the same id
│       └── TimedOut          its time ran out; a TimeoutError too
│           └── Abandoned       and nobody waited for its end: it may still be running
├── Permanent             the same call will fail the same way again
└── Rejected              refused here, before the guarded call began; always safe to try again
    ├── CircuitOpen         the breaker is open, or its probes are taken
    ├── BulkheadFull        every slot, and the queue for one, is taken
    ├── RateLimited         the caller's rate is spent
    └── Overloaded          a bounded queue of ours is full

>>> issubclass(TimedOut, TimeoutError) and issubclass(TimedOut, OutcomeUnknown) and issubclass(Abandoned, TimedOut)
True
>>> [issubclass(error, Transient) for error in (Unavailable, Throttled, OutcomeUnknown, Permanent, Rejected)]
[True, True, True, False, False]
>>> [issubclass(error, Rejected) for error in (CircuitOpen, BulkheadFull, RateLimited, Overloaded)]
[True, True, True, True]
>>> str(RateLimited("rate limit reached", retry_after=1.5))
'rate limit reached; retry in 1.5 s'
>>> issubclass(Rejected, HoldfastError)
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .breaker.report import Failure


class HoldfastError(Exception):
    """Base of every error that this library raises by itself."""


class Transient(HoldfastError):
    """The other side could not do it now; the same call may succeed later."""


class Unavailable(Transient):
    """The call was not attempted (refused connection, nobody there): nothing has happened."""


class Throttled(Unavailable):
    """The other side refuses for now because of our rate; nothing has happened.

    retry_after: seconds for which it asks to be left alone.
    """

    def __init__(self, reason: str = "throttled", /, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class OutcomeUnknown(Transient):
    """The call may or may not have happened (time ran out, the connection was lost after sending)."""


class TimedOut(OutcomeUnknown, TimeoutError):
    """The call's time ran out; how far it had come is unknown."""


class Abandoned(TimedOut):
    """The call's time ran out and nobody waits for it any more; it may still be running."""


class Permanent(HoldfastError):
    """The call will fail the same way however often it is repeated."""


class Rejected(HoldfastError):
    """The call was refused before it began.

    retry_after: seconds until a repeat may be admitted, a lower bound.
    """

    # Refusing has to be cheap: the text is made when someone reads it, and __new__ has kept `args`.
    def __init__(self, reason: str, /, retry_after: float = 0.0) -> None:
        self.reason = reason
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.reason}; retry in {self.retry_after:.3g} s"


class CircuitOpen(Rejected):
    """The breaker does not let calls through now.

    last_failure: type and text of the last failure that the breaker counted; None if there was none.
    """

    last_failure: Failure | None = None

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.last_failure is None else f"{text}; last failure: {self.last_failure}"


class BulkheadFull(Rejected):
    """Every slot is taken, and so is the queue for one."""


class RateLimited(Rejected):
    """The rate is spent."""


class Overloaded(Rejected):
    """A bounded queue is full; taking more would only delay everyone."""
