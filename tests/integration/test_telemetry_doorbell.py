"""The doorbell's spans, on a real broker that dies and comes back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest
import redis
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from adapters.celery_app import TASK, BrokerOptions, make_app, sending
from adapters.celery_doorbell import CeleryDoorbell, DoorbellOptions
from adapters.telemetry.doorbell import trace_sender
from adapters.telemetry.spans import Spans, traceparent_of
from holdfast.errors import Transient
from holdfast.operations.model import Resource
from tests.support.processes import Server
from tests.support.servers import running_valkey

KEYS = [Resource("notes", "1"), Resource("notes", "2")]


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
def broker() -> Iterator[Server]:
    with running_valkey("--save", "") as server:
        yield server


@pytest.fixture
async def doorbell(broker: Server, exporter: InMemorySpanExporter) -> AsyncIterator[CeleryDoorbell]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    options = BrokerOptions(broker.url, timeout=20.0)
    app = trace_sender(Spans(provider.get_tracer("test")), make_app(options), "redis")
    doorbell = CeleryDoorbell(app, TASK, sending(options), options=DoorbellOptions(patience=20.0))
    yield doorbell
    await doorbell.close()
    provider.shutdown()


def rings(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == "ring"]


def messages(broker: Server) -> list[dict[str, object]]:
    with redis.Redis.from_url(broker.url) as client:
        return [json.loads(each) for each in reversed(client.lrange("holdfast", 0, -1))]


async def test_a_message_names_the_span_in_which_it_was_sent(
    doorbell: CeleryDoorbell, exporter: InMemorySpanExporter, broker: Server
) -> None:
    await doorbell.ring(KEYS)
    (ring,) = rings(exporter)
    assert (ring.kind, ring.status.status_code) == (SpanKind.PRODUCER, StatusCode.UNSET)
    assert ring.attributes is not None
    assert (ring.attributes["messaging.system"], ring.attributes["holdfast.mailboxes"]) == ("redis", 2)
    headers = messages(broker)[-1]["headers"]
    assert isinstance(headers, dict)
    _, trace, span, flags = str(headers["traceparent"]).split("-")
    assert ring.context is not None
    assert (int(trace, 16), int(span, 16)) == (ring.context.trace_id, ring.context.span_id)
    assert int(flags, 16) & 1, "sampled"
    assert "notes" not in ring.to_json()


async def test_a_message_that_cannot_be_sent_ends_its_span_as_failed_and_is_no_parent_of_the_next(
    doorbell: CeleryDoorbell, exporter: InMemorySpanExporter, broker: Server
) -> None:
    await doorbell.ring(KEYS)
    with_no_room(broker)
    with pytest.raises(Transient):
        await doorbell.ring(KEYS)
    with_room(broker)
    await doorbell.ring(KEYS)
    first, *failed, last = rings(exporter)
    assert [span.status.status_code for span in (first, last)] == [StatusCode.UNSET] * 2
    assert {span.status.status_code for span in failed} == {StatusCode.ERROR}, "tried again on a new connection"
    assert not any("maxmemory" in span.to_json() for span in failed), "an error's words stay out"
    assert not any(span.parent for span in rings(exporter))


def with_no_room(broker: Server) -> None:
    """It still answers how many messages wait, and takes no other."""
    with redis.Redis.from_url(broker.url) as client:
        client.config_set("maxmemory", "1")


def with_room(broker: Server) -> None:
    with redis.Redis.from_url(broker.url) as client:
        client.config_set("maxmemory", "0")


def test_an_open_span_is_named_as_headers_name_it() -> None:
    tracer = TracerProvider().get_tracer("test")
    span = tracer.start_span("x")
    version, trace, id_, flags = traceparent_of(span).split("-")
    assert (version, len(trace), len(id_)) == ("00", 32, 16)
    assert int(flags, 16) & 1, "sampled"
    span.end()
