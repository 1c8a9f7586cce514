"""Tracing in one process: what is recorded of calls that many requests share, and that off is off."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import SpanKind, StatusCode

from adapters.telemetry import Telemetry, telemetry_of
from adapters.telemetry.exporter import TellingExporter
from adapters.telemetry.ledger import trace_ledger
from adapters.telemetry.spans import Spans, place, traceparent_of
from adapters.telemetry.store import trace_store
from holdfast.errors import Unavailable
from holdfast.events import Event
from holdfast.operations.model import Operation, Origin
from holdfast.operations.ports import Again, Dead, Done, Hold, Settlement
from holdfast.testing.faults import broken
from tests.support.collector import running_collector
from tests.support.engine import World, operation
from tests.support.processes import free_port

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333{}-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

ASSEMBLE = """
import sys
from adapters.assembly import assemble
from adapters.settings import Settings
url = "redis://127.0.0.1:1/0"
postgres = "postgresql://nobody@127.0.0.1:1/none"
assemble(Settings(store="memory"))
assemble(Settings(store="postgres", postgres_url=postgres, ledger_url=url, cache_url=url, broker_url=url))
import api.server, worker.app
# FastAPI and redis-py import some of OpenTelemetry by themselves, where it is installed.
sdk = ("opentelemetry.sdk.trace", "opentelemetry.sdk._logs")
heavy = (*sdk, "opentelemetry.exporter", "opentelemetry.instrumentation", "adapters.telemetry.")
print([name for name in sys.modules if name.startswith(heavy)])
"""


class Recorder:
    """spans: those that have ended, in the order of their ends."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=ParentBasedTraceIdRatio(1.0))
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.traces = Spans(self.provider.get_tracer("test"))

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self._exporter.get_finished_spans()]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.provider.shutdown()


def traced(number: int = 1, **fields: str) -> Operation:
    return replace(operation(resource=f"notes/{number}"), traceparent=SAMPLED.format(number), **fields)


def links(span: ReadableSpan) -> set[int]:
    return {link.context.span_id for link in span.links}


def ids(*operations: Operation) -> set[int]:
    return {place(each).span_id for each in operations}


def test_off_is_not_even_imported() -> None:
    done = subprocess.run([sys.executable, "-c", ASSEMBLE], capture_output=True, text=True, check=True)
    assert done.stdout == "['adapters.telemetry.switch']\n"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "True"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_an_endpoint_every_part_stays_what_it_was(environ: dict[str, str]) -> None:
    off = telemetry_of("api", 1.0, environ)
    assert off == Telemetry()
    store = World().servers[0]
    assert off.store(store, "memory") is store


async def test_a_batch_is_one_span_that_links_to_every_request_in_it(recorder: Recorder) -> None:
    store = trace_store(recorder.traces, World().servers[0], "postgresql")
    first, second, other = traced(1), traced(2), operation(resource="notes/3")
    await store.apply([other, first, second])
    (span,) = recorder.spans("apply")
    assert links(span) == ids(first, second)
    assert span.parent is not None
    assert span.parent.span_id == place(first).span_id, "it stands in the trace of the first"
    assert span.kind is SpanKind.CLIENT
    assert span.attributes is not None
    assert span.attributes["db.system.name"] == "postgresql"
    assert span.attributes["db.operation.batch.size"] == 3
    assert span.attributes["holdfast.applied"] == 3


async def test_requests_that_are_still_open_link_to_their_batch_and_tell_its_outcome(recorder: Recorder) -> None:
    store = trace_store(recorder.traces, World().servers[0], "postgresql")
    asking = [recorder.traces.tracer.start_span(f"PUT {n}") for n in range(2)]
    operations = [replace(operation(resource=f"notes/{n}"), traceparent=traceparent_of(asking[n])) for n in range(2)]
    recorder.traces.open.update({traceparent_of(span): span for span in asking})
    await store.apply(operations)
    (batch,) = recorder.spans("apply")
    for span, each in zip(asking, operations, strict=True):
        span.end()
        (ended,) = (found for found in recorder.spans(f"PUT {asking.index(span)}"))
        assert batch.context is not None
        assert links(ended) == {batch.context.span_id}
        assert ended.attributes is not None
        assert ended.attributes["holdfast.operation.id"] == each.id
        assert ended.attributes["holdfast.outcome"] == "applied"


async def test_nothing_is_recorded_where_no_request_is_traced(recorder: Recorder) -> None:
    store_, ledger_, _ = World().servers
    store, ledger = trace_store(recorder.traces, store_, "memory"), trace_ledger(recorder.traces, ledger_, "memory")
    operations = [operation(), replace(operation(), traceparent=UNSAMPLED)]
    await ledger.gate(operations)
    await store.apply(operations)
    await ledger.hold([Hold(each) for each in operations])
    (lease,) = await ledger.lease(limit=10, depth=10, ttl=10)
    await ledger.settle([Settlement(lease, tuple(Again(job.operation.id) for job in lease.jobs))])
    assert recorder.names == []


async def test_calls_that_are_not_traced_go_through(recorder: Recorder) -> None:
    ledger = trace_ledger(recorder.traces, World().servers[1], "memory")
    await ledger.hold([Hold(operation())])
    assert (await ledger.stats()).waiting == 1


async def test_a_failed_call_tells_the_kind_of_error_and_none_of_its_words(recorder: Recorder) -> None:
    world = World()
    world.store.down = broken(Unavailable("the row (secret) does not fit"))
    with pytest.raises(Unavailable):
        await trace_store(recorder.traces, world.store.port, "postgresql").apply([traced()])
    (span,) = recorder.spans("apply")
    assert span.status.status_code is StatusCode.ERROR
    assert "secret" not in span.to_json()
    assert span.attributes is not None
    assert span.attributes["error.type"] == "Unavailable"


async def test_a_call_that_is_cancelled_is_neither_good_nor_bad(recorder: Recorder) -> None:
    world = World()
    started = asyncio.Event()

    async def hang(*_: object) -> None:
        started.set()
        await asyncio.Event().wait()

    world.servers[0].apply = hang  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(trace_store(recorder.traces, world.servers[0], "memory").apply([traced()]))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (span,) = recorder.spans("apply")
    assert span.status.status_code is StatusCode.UNSET


async def test_a_hold_says_how_the_stores_breaker_was(recorder: Recorder) -> None:
    ledger = trace_ledger(recorder.traces, World().servers[1], "redis")
    recorder.traces.listen(Event("breaker.state_changed", "store", {"to": "open"}))
    await ledger.hold([Hold(traced(1))])
    recorder.traces.listen(Event("breaker.state_changed", "store", {"to": "closed"}))
    await ledger.hold([Hold(traced(2))])
    states = [(span.attributes or {})["holdfast.breaker.store"] for span in recorder.spans("hold")]
    assert states == ["open", "closed"]


async def test_each_replay_is_in_the_trace_of_its_request_and_leads_to_the_batch(recorder: Recorder) -> None:
    ledger = trace_ledger(recorder.traces, World().servers[1], "redis")
    good, bad, later, other = traced(1), traced(2), traced(3), operation(resource="notes/4")
    await ledger.hold([Hold(each) for each in (good, bad, later, other)])
    leases = await ledger.lease(limit=10, depth=10, ttl=10)
    store = World().servers[0]
    (applied,) = await store.apply([replace(good, origin=Origin.HELD)])
    verdicts = {
        good.id: Done(good.id, applied),
        bad.id: Dead(bad.id, "(secret)", blocks=True),
        later.id: Again(later.id, "(secret)"),
        other.id: Again(other.id),
    }
    await ledger.settle([Settlement(lease, (verdicts[lease.jobs[0].operation.id],)) for lease in leases])
    (settle,) = recorder.spans("settle")
    replays = recorder.spans("replay")
    told = {span.attributes["holdfast.operation.id"]: span for span in replays if span.attributes}
    assert {id_: (span.attributes or {})["holdfast.outcome"] for id_, span in told.items()} == {
        good.id: "applied",
        bad.id: "dead",
        later.id: "again",
    }
    for each in (good, bad, later):
        span = told[each.id]
        assert span.parent == place(each)
        assert settle.context is not None
        assert links(span) == {settle.context.span_id}
        assert "secret" not in span.to_json()
    assert told[bad.id].status.status_code is StatusCode.ERROR
    (lease_span,) = recorder.spans("lease")
    assert told[good.id].start_time == lease_span.start_time, "from the lease on"


async def test_idle_looks_for_work_are_not_recorded(recorder: Recorder) -> None:
    ledger = trace_ledger(recorder.traces, World().servers[1], "redis")
    with recorder.traces.tracer.start_as_current_span("a task"):
        assert await ledger.lease(limit=10, depth=10, ttl=10) == []
    assert recorder.names == ["a task"]


def test_a_collector_that_goes_away_and_comes_back_is_told_of_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "adapters.telemetry")
    port = free_port()
    with running_collector(port) as collector:
        exporter = TellingExporter(OTLPSpanExporter(f"{collector.url}/v1/traces", timeout=3))
        assert exporter.export([]) is SpanExportResult.SUCCESS
    results = [exporter.export([]) for _ in range(2)]
    assert results == [SpanExportResult.FAILURE] * 2
    with running_collector(port):
        assert [exporter.export([]) for _ in range(2)] == [SpanExportResult.SUCCESS] * 2
    exporter.shutdown()
    assert [record.getMessage() for record in caplog.records] == [
        "the collector takes no spans",
        "the collector takes spans again",
    ]
