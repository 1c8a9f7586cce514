"""A receiver of metrics over OTLP for tests: says what came, by service."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


class Receiver:
    """variables: the environment of a process that pushes here, soon. services: the last metrics of each, by name.

    instances: the processes of each service.
    """

    def __init__(self, url: str) -> None:
        self.variables = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{url}/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }
        self.services: dict[str, dict[str, Any]] = defaultdict(dict)
        self.instances: dict[str, set[str]] = defaultdict(set)

    def take(self, body: bytes) -> None:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.instances[names["service.name"]].add(names["service.instance.id"])
            for scope in resource.scope_metrics:
                self.services[names["service.name"]].update({metric.name: metric for metric in scope.metrics})


@contextlib.contextmanager
def running_receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.take(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing for each request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
