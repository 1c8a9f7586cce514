"""The span of an HTTP request.

Of its own, since opentelemetry-instrumentation-asgi costs several times as much for a request that is not recorded.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from .spans import Spans, current, fail, traceparent_of
from .switch import App, Route, Scope

_NOWHERE = Context()
# Whoever watches a process asks for these all the time.
_PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})


class TracedHttp:
    """An ASGI application around another. To that, the traceparent of a request is that of its own span here."""

    def __init__(self, spans: Spans, app: App, route: Route) -> None:
        self._spans = spans
        self._app = app
        self._route = route
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        attributes = {"http.request.method": method, "url.path": scope["path"], "url.scheme": scope["scheme"]}
        span = self._spans.tracer.start_span(method, self._caller(scope), SpanKind.SERVER, attributes)
        if span.is_recording():
            await self._traced(span, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _caller(self, scope: Scope) -> Context:
        for name, _ in scope["headers"]:
            if name == b"traceparent":
                break
        else:
            return _NOWHERE
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return self._propagator.extract(fields, _NOWHERE)

    async def _traced(self, span: Span, scope: Scope, receive: Any, send: Any) -> None:
        mine = traceparent_of(span)
        others = [(name, value) for name, value in scope["headers"] if name != b"traceparent"]
        scope["headers"] = [*others, (b"traceparent", mine.encode())]
        self._spans.open[mine] = span
        watched = _Watched(send)
        try:
            with current(span):
                try:
                    await self._app(scope, receive, watched)
                finally:
                    self._describe(span, scope, watched.status)
        finally:
            del self._spans.open[mine]

    def _describe(self, span: Span, scope: Scope, status: int | None) -> None:
        route = self._route(scope)
        if route:
            span.update_name(f"{scope['method']} {route}")
            span.set_attribute("http.route", route)
        if status is not None:
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                fail(span, str(status))


class _Watched:
    """Remembers the status of the answer."""

    __slots__ = ("_send", "status")

    def __init__(self, send: Any) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
