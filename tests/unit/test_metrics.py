"""Counters, read as Prometheus reads them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.memory_store import MemoryStore
from adapters.metrics import Metrics, timed, watched
from adapters.metrics.document import page
from adapters.metrics.families import FAMILIES
from holdfast.breaker import BreakerOptions, CircuitBreaker, State
from holdfast.clock import system_clock
from holdfast.errors import CircuitOpen, OutcomeUnknown, Overloaded, Unavailable
from holdfast.events import Event
from holdfast.operations.guard import Guard, classify
from holdfast.operations.model import Record, Resource
from holdfast.operations.ports import Cached, LedgerStats, Pool, Store
from holdfast.operations.tally import Tally
from holdfast.testing.clock import FakeClock
from tests.support.polling import until

ROOT = Path(__file__).parents[2]
EMPTY = LedgerStats(waiting=0, dead=0, mailboxes=0, oldest=None)


def values(metrics: Metrics, backlog: LedgerStats | None = EMPTY) -> dict[tuple[str, ...], float]:
    """By name and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.render(backlog).decode())
        for sample in family.samples
    }


def fail() -> None:
    raise Unavailable("down")


def test_a_breaker_that_opens_and_refuses_is_counted_and_its_state_shown() -> None:
    metrics = Metrics()
    breaker = CircuitBreaker("store", BreakerOptions(minimum_calls=1), listener=metrics.listen)
    metrics.show({"store": breaker}, {})
    for _ in range(3):
        try:
            breaker.call(fail)
        except (Unavailable, CircuitOpen):
            continue
    seen = values(metrics)
    assert seen["holdfast_breaker_state_changes_total", "store", "open"] == 1
    assert seen["holdfast_breaker_rejected_total", "store"] == 2
    assert seen["holdfast_breaker_state", "store"] == 2


async def test_what_a_guard_refuses_is_counted_as_what_its_breaker_refuses() -> None:
    metrics = Metrics()
    breaker = CircuitBreaker("store", classify=classify, listener=metrics.listen)
    guard = Guard(breaker, asyncio.Event().wait, timeout=1.0, listener=metrics.listen)  # type: ignore[arg-type]
    breaker.isolate()
    with pytest.raises(CircuitOpen):
        await guard.call(asyncio.Event().wait)
    await guard.close()
    assert values(metrics)["holdfast_breaker_rejected_total", "store"] >= 1


def test_a_worse_state_has_a_higher_number() -> None:
    now = FakeClock()
    breaker = CircuitBreaker("store", BreakerOptions(minimum_calls=1, open_duration=1.0), clock=now)
    metrics = Metrics()
    metrics.show({"store": breaker}, {})
    numbers, states = [], []

    def look() -> None:
        states.append(breaker.state)
        numbers.append(values(metrics)["holdfast_breaker_state", "store"])

    look()
    with pytest.raises(Unavailable):
        breaker.call(fail)
    look()
    now.advance(1.0)
    look()
    breaker.isolate()
    look()
    assert states == [State.CLOSED, State.OPEN, State.HALF_OPEN, State.ISOLATED]
    assert numbers == [0, 2, 1, 3]


def test_keys_rung_and_lost_are_counted_apart() -> None:
    metrics = Metrics()
    for name, keys in (("doorbell.rung", 3), ("doorbell.lost", 5), ("doorbell.rung", 4)):
        metrics.listen(Event(name, "doorbell", {"keys": keys}))
    seen = values(metrics)
    assert seen["holdfast_doorbell_keys_total", "rung"] == 7
    assert seen["holdfast_doorbell_keys_total", "lost"] == 5


def test_a_ledger_that_came_back_empty_and_what_has_no_counter_of_its_own_are_counted() -> None:
    metrics = Metrics()
    for name in ("ledger.lost", "retry.scheduled", "retry.scheduled"):
        metrics.listen(Event(name, "ledger", {}))
    seen = values(metrics)
    assert seen[("holdfast_ledger_lost_total",)] == 1
    assert seen["holdfast_events_total", "retry.scheduled", "ledger"] == 2


async def test_sweeps_and_replays_in_place_of_the_workers_are_counted() -> None:
    metrics, rung = Metrics(), list[Resource]()

    async def ring(resources: Sequence[Resource]) -> None:
        rung.extend(resources)

    await metrics.sweeping(ring)([Resource("notes", "1"), Resource("notes", "2")])
    await metrics.replaying_here(ring)([Resource("notes", "3")])
    assert [resource.id for resource in rung] == ["1", "2", "3"]
    seen = values(metrics)
    assert seen[("holdfast_swept_mailboxes_total",)] == 2
    assert seen[("holdfast_sweeper_replays_total",)] == 1


def test_the_backlog_shows_its_size_and_age() -> None:
    seen = values(Metrics(), LedgerStats(waiting=7, dead=2, mailboxes=3, oldest=time.time() - 60))
    assert seen[("holdfast_backlog_operations",)] == 7
    assert seen[("holdfast_dead_operations",)] == 2
    assert seen[("holdfast_backlog_mailboxes",)] == 3
    assert 59 < seen[("holdfast_backlog_age_seconds",)] < 120


def test_an_empty_backlog_has_no_age() -> None:
    assert values(Metrics())[("holdfast_backlog_age_seconds",)] == 0


def test_a_ledger_that_cannot_be_asked_tells_nothing_old() -> None:
    metrics = Metrics()
    assert values(metrics, LedgerStats(7, 0, 3, 1.0))[("holdfast_ledger_known",)] == 1
    seen = values(metrics, None)
    assert seen[("holdfast_ledger_known",)] == 0
    assert not [name for name, *_ in seen if name.startswith(("holdfast_backlog", "holdfast_operations"))]


def test_the_tally_is_told_by_outcome() -> None:
    tally = Tally(held=20, succeeded=9, failed=3, superseded=2, cancelled=1, died=4, revived=1, faults=6, put_back=5)
    seen = values(Metrics(), LedgerStats(waiting=2, dead=3, mailboxes=1, oldest=None, tally=tally))
    settled = {name[1]: value for name, value in seen.items() if name[0] == "holdfast_operations_settled_total"}
    assert settled == {"succeeded": 9, "failed": 3, "superseded": 2, "cancelled": 1, "dead": 4}
    assert seen[("holdfast_operations_held_total",)] == 20
    assert seen[("holdfast_operations_revived_total",)] == 1
    assert (
        seen["holdfast_operations_put_back_total", "fault"],
        seen["holdfast_operations_put_back_total", "outage"],
    ) == (
        6,
        5,
    )


def test_the_latency_of_replays_is_a_histogram_that_adds_up() -> None:
    replays = (1, 0, 0, 0, 0, 0, 0, 2, *(0,) * 8, 1)
    tally = Tally(held=4, succeeded=4, replays=replays, replay_seconds=90_000.0)
    seen = values(Metrics(), LedgerStats(0, 0, 0, None, tally))
    assert seen["holdfast_replay_latency_seconds_bucket", "0.1"] == 1
    assert seen["holdfast_replay_latency_seconds_bucket", "30.0"] == 3
    assert seen["holdfast_replay_latency_seconds_bucket", "+Inf"] == 4
    assert seen[("holdfast_replay_latency_seconds_count",)] == 4
    assert seen[("holdfast_replay_latency_seconds_sum",)] == 90_000


async def test_a_call_is_timed_by_what_became_of_it() -> None:
    metrics = Metrics()

    class Failing(MemoryStore):
        error: BaseException | None = None

        async def ping(self) -> None:
            if self.error is not None:
                raise self.error

    failing = Failing()
    store = timed(failing, Store, "store", metrics.calls)
    await store.ping()
    errors = (Unavailable("x"), OutcomeUnknown("x"), Overloaded("x"), asyncio.CancelledError(), ValueError("x"))
    for error in errors:
        failing.error = error
        with pytest.raises(type(error)):
            await store.ping()
    seen = values(metrics)
    outcomes = {
        name[3]: count
        for name, count in seen.items()
        if name[:3] == ("holdfast_call_duration_seconds_count", "store", "ping")
    }
    assert outcomes == dict.fromkeys(("ok", "unavailable", "unknown", "refused", "abandoned", "fault"), 1)


async def test_a_timed_store_answers_as_the_store_does() -> None:
    store = timed(MemoryStore(), Store, "store", Metrics().calls)
    assert await store.page("notes", after=None, limit=3) == []
    assert await store.read([Resource("notes", "1")]) == [None]
    await store.close()


async def test_what_the_cache_or_a_replica_knew_is_counted_with_its_age() -> None:
    metrics = Metrics()
    record = Record(Resource("notes", "1"), 1, {}, 1.0, 1.0)

    class Known:
        async def get(self, _: Sequence[Resource]) -> list[Cached | None]:
            return [Cached(record, time.time() - 30), None, None]

        async def read(self, _: Sequence[Resource]) -> list[Cached | None]:
            return [Cached(record, time.time() - 300), Cached(record, time.time() - 300), None]

    asked = watched(watched(Known(), "get", metrics.cached), "read", metrics.replicated)
    assert len(await asked.get([record.resource] * 3)) == 3
    assert len(await asked.read([record.resource] * 3)) == 3
    seen = values(metrics)
    assert (seen["holdfast_cache_reads_total", "hit"], seen["holdfast_cache_reads_total", "miss"]) == (1, 2)
    assert 29 < seen[("holdfast_cache_answer_age_seconds_sum",)] < 60
    assert seen["holdfast_cache_answer_age_seconds_bucket", "15.0"] == 0
    assert (seen["holdfast_replica_reads_total", "hit"], seen["holdfast_replica_reads_total", "miss"]) == (2, 1)
    assert 598 < seen[("holdfast_replica_answer_age_seconds_sum",)] < 630
    assert seen["holdfast_replica_answer_age_seconds_bucket", "60.0"] == 0


def test_the_use_of_a_pool_is_looked_up_at_each_scrape() -> None:
    metrics, pool = Metrics(), Pool(1, 2, 8)
    metrics.show({}, {"store": lambda: pool})
    seen = values(metrics)
    assert seen["db_client_connection_count", "store", "used"] == 1
    assert seen["db_client_connection_count", "store", "idle"] == 2
    pool = Pool(5, 0, 8)
    seen = values(metrics)
    assert seen["db_client_connection_count", "store", "used"] == 5
    assert seen["db_client_connection_count", "store", "idle"] == 0
    assert seen["db_client_connection_max", "store"] == 8


async def test_a_loop_that_was_blocked_shows_its_lag() -> None:
    metrics = Metrics()
    watching = asyncio.create_task(metrics.watch_the_loop(system_clock))
    await asyncio.sleep(0)
    time.sleep(0.4)  # noqa: ASYNC251 - the very thing to be seen
    await until(lambda: values(metrics)[("holdfast_event_loop_lag_seconds_count",)])
    watching.cancel()
    assert values(metrics)[("holdfast_event_loop_lag_seconds_sum",)] >= 0.1


def test_two_processes_in_one_do_not_share_counters() -> None:
    one, other = Metrics(), Metrics()
    one.listen(Event("doorbell.rung", "doorbell", {"keys": 1}))
    assert ("holdfast_doorbell_keys_total", "rung") not in values(other)


def test_an_event_that_has_no_metric_of_its_own_is_counted_by_its_name() -> None:
    metrics = Metrics()
    metrics.listen(Event("retry.again", "mail"))
    assert values(metrics)["holdfast_events_total", "retry.again", "mail"] == 1


def test_the_build_and_the_process_are_shown() -> None:
    seen = values(Metrics())
    assert [name for name in seen if name[0] == "holdfast_build_info"]
    assert seen[("process_resident_memory_bytes",)] > 1_000_000


def test_the_page_of_the_metrics_is_up_to_date() -> None:
    shown = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    assert shown == page(), "run: python -m adapters.metrics.document"


def test_every_family_of_a_lasting_process_is_told_under_its_name_and_kind() -> None:
    metrics = Metrics()
    metrics.show({}, {})
    told = {
        (family.name + ("_total" if family.type == "counter" else ""), family.type)
        for family in text_string_to_metric_families(metrics.render(EMPTY).decode())
    }
    elsewhere = {"http_server_request_duration_seconds", "holdfast_http_problems_total", "holdfast_worker_children"}
    for family in FAMILIES:
        if family.name not in elsewhere and not family.name.startswith("holdfast_http_requests"):
            assert (family.name, family.kind) in told
