"""OpenTelemetry, turned on: who records, what is recorded, and where it goes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from holdfast.events import fan_out

from ..otel_resource import otel_resource
from .doorbell import trace_sender
from .exporter import TellingExporter
from .http import TracedHttp
from .ledger import trace_ledger
from .spans import Spans
from .store import trace_store
from .switch import Telemetry

_POLL = 0.02


def turn_on(role: str, ratio: float, environ: Mapping[str, str]) -> Telemetry:
    provider = make_provider(role, ratio, environ)
    if role == "worker":
        CeleryInstrumentor().instrument(tracer_provider=provider)  # type: ignore[no-untyped-call]
    spans = Spans(provider.get_tracer("holdfast", version("holdfast")))
    return Telemetry(
        store=partial(trace_store, spans),
        ledger=partial(trace_ledger, spans),
        sender=partial(trace_sender, spans),
        http=partial(TracedHttp, spans),
        listener=partial(fan_out, spans.listen),
        close=partial(_close, provider),
    )


def make_provider(role: str, ratio: float, environ: Mapping[str, str]) -> TracerProvider:
    """Sends in batches, from a thread of its own; what finds no room there is dropped."""
    # Without a sampler of ours, the SDK makes the one that OTEL_TRACES_SAMPLER names.
    sampler = None if environ.get("OTEL_TRACES_SAMPLER") else ParentBasedTraceIdRatio(ratio)
    provider = TracerProvider(sampler=sampler, resource=otel_resource(role), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(TellingExporter(OTLPSpanExporter())))
    return provider


async def _close(provider: TracerProvider) -> None:
    """In a thread that nobody has to wait for: a collector that hangs would keep it for long."""
    thread = threading.Thread(target=provider.shutdown, name="holdfast-telemetry", daemon=True)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(_POLL)
