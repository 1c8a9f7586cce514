"""The trace in log lines."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.typing import EventDict


def add_trace(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """`trace_id` and `span_id`, in hex, where a span is current."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format_trace_id(context.trace_id)
        event["span_id"] = format_span_id(context.span_id)
    return event
