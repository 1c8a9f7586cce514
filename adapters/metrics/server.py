"""`GET /metrics` for a program that serves nothing else: a thread with a listening socket."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST

log = logging.getLogger(__name__)

# Seconds for which a client may take its time.
_PATIENCE = 10.0


class CannotServe(Exception):
    """The address cannot be had; the text says which and why."""


class MetricsServer:
    """Serves what `render` says, from a thread of its own, until `close`.

    Child processes do not keep the socket. Raises CannotServe. port: 0 for any free one.
    """

    def __init__(self, host: str, port: int, render: Callable[[], bytes]) -> None:
        try:
            self._server = _Server((host, port), _handler(render))
        except OSError as error:
            text = f"cannot serve metrics on {host} port {port}: {error.strerror or error}"
            raise CannotServe(f"{text}; set HOLDFAST_METRICS_HOST or HOLDFAST_METRICS_PORT") from error
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._server.socket.close)
        Thread(target=self._server.serve_forever, name="holdfast-metrics", daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        log.debug("metrics were not sent", exc_info=True)


def _handler(render: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self._answer(404, "text/plain; charset=utf-8", b"There is only /metrics.\n")
                return
            self._answer(200, CONTENT_TYPE_LATEST, render())

        def log_message(self, *_: object) -> None:
            """A scrape is no news."""

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
