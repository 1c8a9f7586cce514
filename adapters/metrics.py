"""Counters of a process for Prometheus, fed by the events that the library tells."""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from holdfast.breaker import State
from holdfast.events import Event
from holdfast.operations.ports import LedgerStats

# Worse is more, so that a maximum over processes is the worst of them.
_STATES = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2, State.ISOLATED: 3}


class Metrics:
    """One registry for each process; others may add their own to it."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._state = Gauge(
            "holdfast_breaker_state", "0 closed, 1 half-open, 2 open, 3 isolated.", ["breaker"], registry=registry
        )
        self._changes = Counter(
            "holdfast_breaker_state_changes", "Changes into a state.", ["breaker", "to"], registry=registry
        )
        self._rejected = Counter("holdfast_breaker_rejected", "Calls refused.", ["breaker"], registry=registry)
        self._rung = Counter("holdfast_doorbell_keys", "Resource keys, rung or lost.", ["result"], registry=registry)
        self._waiting = Gauge("holdfast_backlog_operations", "Operations that wait.", registry=registry)
        self._dead = Gauge("holdfast_dead_operations", "Operations that wait for a decision.", registry=registry)
        self._mailboxes = Gauge("holdfast_backlog_mailboxes", "Mailboxes that are not empty.", registry=registry)
        self._age = Gauge("holdfast_backlog_age_seconds", "Age of the oldest operation that waits.", registry=registry)
        self._ledger_lost = Counter("holdfast_ledger_lost", "Times that the ledger came back empty.", registry=registry)

    def listen(self, event: Event) -> None:
        """A listener: counts what it knows and passes over the rest."""
        attributes = event.attributes
        match event.name:
            case "breaker.state_changed":
                to = str(attributes["to"])
                self._changes.labels(event.source, to).inc()
                self.breaker(event.source, State(to))
            case "breaker.rejected":
                self._rejected.labels(event.source).inc()
            case "doorbell.rung" | "doorbell.lost":
                self._rung.labels(event.name.partition(".")[2]).inc(float(attributes["keys"]))
            case "ledger.lost":
                self._ledger_lost.inc()

    def breaker(self, name: str, state: State) -> None:
        self._state.labels(name).set(_STATES[state])

    def backlog(self, stats: LedgerStats) -> None:
        self._waiting.set(stats.waiting)
        self._dead.set(stats.dead)
        self._mailboxes.set(stats.mailboxes)
        self._age.set(0 if stats.oldest is None else max(0.0, time.time() - stats.oldest))

    def render(self) -> bytes:
        """All of the registry as text, to be sent as `content_type`."""
        return generate_latest(self.registry)
