"""What clients may know of an error: by its class only. A driver's own words name hosts, users and ports."""

from __future__ import annotations

from ..errors import CircuitOpen, OutcomeUnknown, Overloaded, TimedOut, Transient


def tell(error: Exception, what: str) -> str:
    """One line without a word of the driver's. what: whose error it is, as `the store`."""
    if isinstance(error, (CircuitOpen, TimedOut)):
        return f"{what} does not answer"
    if isinstance(error, OutcomeUnknown):
        return f"the connection to {what} was lost"
    if isinstance(error, Overloaded):
        return f"{what} has too much to do"
    if isinstance(error, Transient):
        return f"{what} cannot be used now"
    return f"{type(error).__name__}; the log says more"
