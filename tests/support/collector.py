"""An OpenTelemetry collector for tests: takes OTLP over HTTP, and says what spans came."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

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
    began: int
    ended: int

    @property
    def place(self) -> tuple[str, str]:
        return self.trace, self.id

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace}-{self.id}-01"


class Collector:
    """url: for OTEL_EXPORTER_OTLP_ENDPOINT. raw: every body as it came."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.port = server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.raw: list[bytes] = []
        self._spans: list[Received] = []
        self._lock = threading.Lock()

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process that sends all its traces here, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
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

    def take(self, body: bytes) -> None:
        message = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            self.raw.append(body)
            self._spans += _received(message)


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
        if self.path == "/v1/traces":
            self.collector.take(unpacked)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing for each request."""


def _received(message: ExportTraceServiceRequest) -> Iterator[Received]:
    for resource in message.resource_spans:
        service = {each.key: _value(each.value) for each in resource.resource.attributes}["service.name"]
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
                    service=service,
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
