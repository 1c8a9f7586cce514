"""The doorbell's part of a trace: each message sent.

CeleryInstrumentor is for workers only: in a process that sends to a task which it does not have itself, it ends the
span before the message leaves, and never hears of a failure.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery import Celery
from opentelemetry.trace import SpanKind

from .spans import Attributes, Spans, current, traceparent_of


def trace_sender(spans: Spans, app: Celery, system: str) -> Celery:
    """Have `app` send each message within a span, which the message names. system: as `messaging.system` knows it."""
    app.send_task = partial(_send, spans, app.send_task, system)
    return app


def _send(spans: Spans, send: Any, system: str, task: str, args: tuple[list[str]], **options: Any) -> Any:
    attributes: Attributes = {
        "messaging.system": system,
        "messaging.operation.name": "ring",
        "messaging.operation.type": "send",
        "messaging.destination.name": "doorbell",
        "holdfast.mailboxes": len(args[0]),
    }
    span = spans.tracer.start_span("ring", kind=SpanKind.PRODUCER, attributes=attributes)
    with current(span):
        return send(task, args, headers={"traceparent": traceparent_of(span)}, **options)
