"""An OpenTelemetry collector for tests: takes OTLP over HTTP, and says what spans and log lines came."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from .processes import wait_until


@dataclass(frozen=True)
class Received:
    """A span as it came. links: ids of trace and span. service: of the process that sent it. Times are nanoseconds."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: list[tuple[str, str]]
    attributes: dict[str, Any]
    status: int
    service: str
    pid: int
    instance: str
    began: int
    ended: int

    @property
    def place(self) -> tuple[str, str]:
        return self.trace, self.id

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace}-{self.id}-01"


@dataclass(frozen=True)
class Line:
    """A log record as it came, `place` as that of a span. pid, instance: of the process that sent it."""

    text: str
    severity: str
    number: int
    logger: str
    place: tuple[str, str]
    attributes: dict[str, Any]
    service: str
    pid: int
    instance: str
    time: int


class Collector:
    """url: for OTEL_EXPORTER_OTLP_ENDPOINT. raw: every body as it came."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.raw: list[bytes] = []
        self._spans: list[Received] = []
        self._lines: list[Line] = []
        self._lock = threading.Lock()

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process that sends all its traces and lines here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            "HOLDFAST_TRACE_RATIO": "1",
        }

    def spans(self, name: str | None = None, **attributes: Any) -> list[Received]:
        """Those received so far that have these of our own attributes: `operation_id` is `holdfast.operation.id`."""
        with self._lock:
            found = list(self._spans)
        wanted = {f"holdfast.{key.replace('_', '.')}": value for key, value in attributes.items()}
        return [
            span for span in found if (name is None or span.name == name) and wanted.items() <= span.attributes.items()
        ]

    def one(self, name: str, **attributes: Any) -> Received:
        """The first such span, once it has come."""
        wait_until(lambda: self.spans(name, **attributes), f"a span {name} {attributes}")
        return self.spans(name, **attributes)[0]

    def at(self, trace: str, id_: str) -> Received:
        """The span of that place, once it has come."""
        found: list[Received] = []
        wait_until(lambda: found.extend(span for span in self.spans() if span.place == (trace, id_)) or found, "a span")
        return found[0]

    def lines(self, text: str = "") -> list[Line]:
        """Those received so far with this in them."""
        with self._lock:
            return [line for line in self._lines if text in line.text]

    def line(self, text: str) -> Line:
        """The first such line, once it has come."""
        wait_until(lambda: self.lines(text), f"a line with {text}")
        return self.lines(text)[0]

    def take(self, path: str, body: bytes) -> None:
        with self._lock:
            self.raw.append(body)
            if path == "/v1/traces":
                self._spans += _received(ExportTraceServiceRequest.FromString(body))
            if path == "/v1/logs":
                self._lines += _lines(ExportLogsServiceRequest.FromString(body))


@contextlib.contextmanager
def running_collector(port: int = 0) -> Iterator[Collector]:
    """port: 0 for any free one."""
    server = _Server(("127.0.0.1", port), _Handler)
    collector = Collector(server)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"collector": collector})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Processes that end in the middle of a request are no news in a test."""


class _Handler(BaseHTTPRequestHandler):
    collector: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        unpacked = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
        self.collector.take(self.path, unpacked)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing for each request."""


def _received(message: ExportTraceServiceRequest) -> Iterator[Received]:
    for resource in message.resource_spans:
        sender = _sender(resource.resource)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Received(
                    name=span.name,
                    kind=span.kind,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                    attributes={each.key: _value(each.value) for each in span.attributes},
                    status=span.status.code,
                    **sender,
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                )


def _lines(message: ExportLogsServiceRequest) -> Iterator[Line]:
    for resource in message.resource_logs:
        sender = _sender(resource.resource)
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield Line(
                    text=_value(record.body),
                    severity=record.severity_text,
                    number=record.severity_number,
                    logger=scope.scope.name,
                    place=(record.trace_id.hex(), record.span_id.hex()),
                    attributes={each.key: _value(each.value) for each in record.attributes},
                    **sender,
                    time=record.time_unix_nano,
                )


def _sender(resource: Resource) -> dict[str, Any]:
    told = {each.key: _value(each.value) for each in resource.attributes}
    return {
        "service": told["service.name"],
        "pid": told["process.pid"],
        "instance": told["service.instance.id"],
    }


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
