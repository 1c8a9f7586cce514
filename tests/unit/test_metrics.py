"""Counters, read as Prometheus reads them."""

from __future__ import annotations

import time

from prometheus_client.parser import text_string_to_metric_families

from adapters.metrics import Metrics
from holdfast.breaker import BreakerOptions, CircuitBreaker, State
from holdfast.errors import CircuitOpen, Unavailable
from holdfast.events import Event
from holdfast.operations.ports import LedgerStats


def values(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """By name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_a_breaker_that_opens_and_refuses_is_counted_and_its_state_shown() -> None:
    metrics = Metrics()
    breaker = CircuitBreaker("store", BreakerOptions(minimum_calls=1), listener=metrics.listen)

    def fail() -> None:
        raise Unavailable("down")

    for _ in range(3):
        try:
            breaker.call(fail)
        except (Unavailable, CircuitOpen):
            continue
    seen = values(metrics)
    assert seen["holdfast_breaker_state_changes_total", "store", "open"] == 1
    assert seen["holdfast_breaker_rejected_total", "store"] == 2
    assert seen["holdfast_breaker_state", "store"] == 2


def test_a_worse_state_has_a_higher_number() -> None:
    metrics = Metrics()
    numbers = []
    for state in (State.CLOSED, State.HALF_OPEN, State.OPEN, State.ISOLATED):
        metrics.breaker("store", state)
        numbers.append(values(metrics)["holdfast_breaker_state", "store"])
    assert numbers == sorted(set(numbers))


def test_keys_rung_and_lost_are_counted_apart() -> None:
    metrics = Metrics()
    for name, keys in (("doorbell.rung", 3), ("doorbell.lost", 5), ("doorbell.rung", 4)):
        metrics.listen(Event(name, "doorbell", {"keys": keys}))
    seen = values(metrics)
    assert seen["holdfast_doorbell_keys_total", "rung"] == 7
    assert seen["holdfast_doorbell_keys_total", "lost"] == 5


def test_the_backlog_shows_its_size_and_age() -> None:
    metrics = Metrics()
    metrics.backlog(LedgerStats(waiting=7, dead=2, mailboxes=3, oldest=time.time() - 60))
    seen = values(metrics)
    assert seen[("holdfast_backlog_operations",)] == 7
    assert seen[("holdfast_dead_operations",)] == 2
    assert seen[("holdfast_backlog_mailboxes",)] == 3
    assert 59 < seen[("holdfast_backlog_age_seconds",)] < 120


def test_an_empty_backlog_has_no_age() -> None:
    metrics = Metrics()
    metrics.backlog(LedgerStats(waiting=0, dead=0, mailboxes=0, oldest=None))
    assert values(metrics)[("holdfast_backlog_age_seconds",)] == 0


def test_two_processes_in_one_do_not_share_counters() -> None:
    one, other = Metrics(), Metrics()
    one.listen(Event("doorbell.rung", "doorbell", {"keys": 1}))
    assert ("holdfast_doorbell_keys_total", "rung") not in values(other)


def test_an_event_that_it_does_not_know_is_passed_over() -> None:
    Metrics().listen(Event("something.else", "x"))
