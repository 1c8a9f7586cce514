"""Log lines for OpenTelemetry: the trace in each, and each sent to the collector."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.typing import EventDict

from ..otel_resource import otel_resource
from .exporter import TellingLogExporter

# Seconds for which the end of a process waits for its last lines.
_PATIENCE = 3.0

_SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}
# Fields that a log record of OpenTelemetry has a place for.
_PLACED = frozenset({"event", "time", "level", "logger", "trace_id", "span_id"})
# The others by the names of the semantic conventions, and by those that our spans have.
_NAMES = {
    "operation_id": "holdfast.operation.id",
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "duration": "http.server.request.duration",
    "exception": "exception.stacktrace",
}


def add_trace(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """`trace_id` and `span_id`, in hex, where a span is current."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format_trace_id(context.trace_id)
        event["span_id"] = format_span_id(context.span_id)
    return event


class LineSender:
    """Sends lines in batches, from a thread of its own; what finds no room there is dropped.

    A process that was forked from its own begins anew by `begin`; lines from before that are only written.
    """

    def __init__(self, role: str) -> None:
        self._role = role
        self._provider: LoggerProvider | None = None
        self.begin()

    def begin(self) -> None:
        """In each process, before anything of it is sent."""
        inherited = self._provider
        provider = LoggerProvider(resource=otel_resource(self._role), shutdown_on_exit=False)
        provider.add_log_record_processor(BatchLogRecordProcessor(TellingLogExporter(OTLPLogExporter())))
        self._provider, self._pid = provider, os.getpid()
        if inherited is not None:
            # In a thread that nobody waits for: another process may have held its locks when this one was forked.
            _end(inherited)

    def send(self, record: logging.LogRecord, fields: Mapping[str, Any]) -> None:
        """fields: as they are written, without what must not be seen.

        What sending itself has to say is not sent: that would go on for ever while nobody takes it.
        """
        provider = self._provider
        if provider is None or os.getpid() != self._pid or record.name.startswith("opentelemetry."):
            return
        if is_instrumentation_enabled():
            provider.get_logger(record.name).emit(
                timestamp=int(record.created * 1e9),
                severity_number=_SEVERITIES.get(record.levelname.lower(), SeverityNumber.UNSPECIFIED),
                severity_text=record.levelname,
                body=fields["event"],
                attributes={_NAMES.get(key, key): value for key, value in fields.items() if key not in _PLACED},
            )

    def close(self) -> None:
        """Send what is left, for a bounded time; later lines are only written."""
        provider, self._provider = self._provider, None
        if provider is not None:
            _end(provider).join(_PATIENCE)


def _end(provider: LoggerProvider) -> threading.Thread:
    thread = threading.Thread(target=provider.shutdown, name="holdfast-lines", daemon=True)
    thread.start()
    return thread
