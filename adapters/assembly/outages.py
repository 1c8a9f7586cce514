"""Log lines when a dependency goes away and when it is back, in the words of its driver."""

from __future__ import annotations

import logging

from holdfast.breaker import CircuitBreaker, State
from holdfast.events import Event

log = logging.getLogger(__name__)


def log_outage(event: Event, breaker: CircuitBreaker) -> None:
    """The probes in between are not told: they are many, and change nothing."""
    if event.name != "breaker.state_changed":
        return
    before, after = event.attributes["from"], event.attributes["to"]
    if after == State.CLOSED:
        log.warning("%s is back", breaker.name)
    elif before == State.CLOSED:
        failure = breaker.snapshot().last_failure
        text = f"; last failure: {failure.type}: {failure.text}" if failure else ""
        log.warning("%s is not called any more: %s%s", breaker.name, event.attributes["reason"], text)
