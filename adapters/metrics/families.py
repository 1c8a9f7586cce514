"""Every metric of every program: what docs/reference/metrics.md is made from."""

from __future__ import annotations

from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from holdfast.operations.tally import BOUNDS as REPLAYS

# Seconds.
REQUESTS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
CALLS = (0.0005, *REQUESTS[:12])
AGES = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 604_800.0)
LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
RUNS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)

API, WORKER, SWEEPER = "api", "worker", "sweeper"
EVERY = (API, WORKER, SWEEPER)
LASTING = (API, SWEEPER)


class Family(NamedTuple):
    """name: as Prometheus stores it. programs: which of them tell it. bounds: of a histogram, seconds.

    shared: a fact of the ledger, the same whoever tells it: take the maximum over processes, never the sum.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    labels: tuple[str, ...] = ()
    programs: tuple[str, ...] = EVERY
    bounds: tuple[float, ...] = ()
    shared: bool = False

    def counter(self, registry: CollectorRegistry) -> Counter:
        return Counter(self.name.removesuffix("_total"), self.text, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        return Histogram(self.name, self.text, self.labels, buckets=self.bounds, registry=registry)

    def counts(self) -> CounterMetricFamily:
        """For a collector, to be filled at each scrape; so are the two below."""
        return CounterMetricFamily(self.name.removesuffix("_total"), self.text, labels=self.labels)

    def levels(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self.name, self.text, labels=self.labels)

    def distribution(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self.name, self.text, labels=self.labels)


def _fact(name: str, kind: Literal["counter", "gauge", "histogram"], text: str, *labels: str) -> Family:
    bounds = REPLAYS if kind == "histogram" else ()
    return Family(name, kind, text, labels, LASTING, bounds, shared=True)


HTTP_DURATION = Family(
    "http_server_request_duration_seconds",
    "histogram",
    "Requests, from the arrival of the head to the answer.",
    ("http_route", "http_request_method", "http_response_status_code"),
    (API,),
    REQUESTS,
)
HTTP_PROBLEMS = Family(
    "holdfast_http_problems_total",
    "counter",
    "Answers that were a problem, by the last part of its type: `overloaded`, `rate-limited`, `outcome-unknown`, …",
    ("problem",),
    (API,),
)
HTTP_IN_FLIGHT = Family(
    "holdfast_http_requests_in_flight", "gauge", "Requests on records that are being answered.", (), (API,)
)
HTTP_WAITING = Family("holdfast_http_requests_waiting", "gauge", "Requests that wait for a job.", (), (API,))

CALL_DURATION = Family(
    "holdfast_call_duration_seconds",
    "histogram",
    "Calls to `store`, `ledger`, `cache` and, where there are any, `replicas`, each for a batch. "
    "outcome: `ok`, `unavailable` (not done), `unknown`"
    " (perhaps done), `abandoned` (given up at its deadline), `refused`, `fault` (a bug).",
    ("dependency", "operation", "outcome"),
    EVERY,
    CALLS,
)
POOL_CONNECTIONS = Family(
    "db_client_connection_count",
    "gauge",
    "Connections, `idle` or `used`.",
    ("db_client_connection_pool_name", "db_client_connection_state"),
    LASTING,
)
POOL_SIZE = Family(
    "db_client_connection_max", "gauge", "The most connections.", ("db_client_connection_pool_name",), LASTING
)
BREAKER_STATE = Family(
    "holdfast_breaker_state", "gauge", "0 closed, 1 half-open, 2 open, 3 isolated.", ("breaker",), LASTING
)
BREAKER_CHANGES = Family("holdfast_breaker_state_changes_total", "counter", "Changes into a state.", ("breaker", "to"))
BREAKER_REJECTED = Family(
    "holdfast_breaker_rejected_total", "counter", "Calls refused without a try, each for a batch.", ("breaker",)
)

DOORBELL_KEYS = Family(
    "holdfast_doorbell_keys_total", "counter", "Resource keys, `rung` or `lost`.", ("result",), LASTING
)
SWEPT = Family(
    "holdfast_swept_mailboxes_total",
    "counter",
    "Mailboxes that a sweep found due and rang for; many while a backlog drains, and next to none otherwise.",
    (),
    LASTING,
)
REPLAYED_HERE = Family(
    "holdfast_sweeper_replays_total",
    "counter",
    "Mailboxes that a sweeper replayed by itself: workers could not be reached, or took no messages.",
    (),
    LASTING,
)
REPLAY_RUN = Family(
    "holdfast_replay_run_duration_seconds",
    "histogram",
    "Runs of a worker, one for each doorbell that it answered.",
    (),
    (WORKER,),
    RUNS,
)
WORKER_CHILDREN = Family(
    "holdfast_worker_children", "gauge", "Child processes of the worker that are alive.", (), (WORKER,)
)

CACHE_READS = Family(
    "holdfast_cache_reads_total",
    "counter",
    "Records asked of the cache because the store could not be asked: `hit` or `miss`.",
    ("result",),
    (API,),
)
CACHE_AGES = Family(
    "holdfast_cache_answer_age_seconds",
    "histogram",
    "How old the hits were: the time since the cache knew them to be current.",
    (),
    (API,),
    AGES,
)
REPLICA_READS = Family(
    "holdfast_replica_reads_total",
    "counter",
    "Records asked of a replica, beside the cache and for the same reason: `hit` or `miss`.",
    ("result",),
    (API,),
)
REPLICA_AGES = Family(
    "holdfast_replica_answer_age_seconds",
    "histogram",
    "How old a replica's hits were: the time since the primary's last commit that it had replayed.",
    (),
    (API,),
    AGES,
)

LEDGER_LOST = Family("holdfast_ledger_lost_total", "counter", "Times that this process saw the ledger come back empty.")
LEDGER_KNOWN = Family(
    "holdfast_ledger_known",
    "gauge",
    "1 when the ledger could be asked for this scrape; 0 when not, and its facts are left out.",
    (),
    LASTING,
)
WAITING = _fact("holdfast_backlog_operations", "gauge", "Operations that wait.")
AGE = _fact("holdfast_backlog_age_seconds", "gauge", "Age of the oldest operation that waits.")
MAILBOXES = _fact("holdfast_backlog_mailboxes", "gauge", "Mailboxes that are not empty.")
DEAD = _fact(
    "holdfast_dead_operations",
    "gauge",
    "Operations that are dead: failed too often by their own fault, to be retried by someone.",
)
HELD = _fact("holdfast_operations_held_total", "counter", "Operations accepted into the ledger.")
SETTLED = _fact(
    "holdfast_operations_settled_total",
    "counter",
    "Operations settled: `succeeded`, `failed`, `superseded`, `cancelled`, `dead`.",
    "outcome",
)
REVIVED = _fact("holdfast_operations_revived_total", "counter", "Dead operations that an administrator had retried.")
PUT_BACK = _fact(
    "holdfast_operations_put_back_total",
    "counter",
    "Tries that did not settle their operation: `outage` (costs no attempt) or `fault` (of its own).",
    "reason",
)
MISSING = _fact(
    "holdfast_operations_missing_total", "counter", "Operations that were in a mailbox and nowhere else: they are lost."
)
REPLAY_LATENCY = _fact(
    "holdfast_replay_latency_seconds",
    "histogram",
    "From the hold (or the retry of a dead one) to the outcome: succeeded, failed or superseded.",
)

LOOP_LAG = Family(
    "holdfast_event_loop_lag_seconds",
    "histogram",
    "How much later than asked the event loop woke a sleeper: work that should not be on it.",
    (),
    LASTING,
    LAGS,
)
EVENTS = Family(
    "holdfast_events_total",
    "counter",
    "Other events of the library, by name: retries, bulkheads, failover.",
    ("event", "source"),
)
BUILD = Family("holdfast_build_info", "gauge", "Always 1.", ("version", "python_version"))

FAMILIES: tuple[Family, ...] = (
    *(HTTP_DURATION, HTTP_PROBLEMS, HTTP_IN_FLIGHT, HTTP_WAITING),
    *(CALL_DURATION, POOL_CONNECTIONS, POOL_SIZE),
    *(BREAKER_STATE, BREAKER_CHANGES, BREAKER_REJECTED),
    *(LEDGER_KNOWN, WAITING, AGE, MAILBOXES, DEAD, HELD, SETTLED, REVIVED, PUT_BACK, MISSING, REPLAY_LATENCY),
    LEDGER_LOST,
    *(DOORBELL_KEYS, SWEPT, REPLAYED_HERE, REPLAY_RUN, WORKER_CHILDREN),
    *(CACHE_READS, CACHE_AGES, REPLICA_READS, REPLICA_AGES),
    *(LOOP_LAG, EVENTS, BUILD),
)
