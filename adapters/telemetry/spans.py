"""Spans of calls that carry many operations, each with a trace of its own.

Such a span belongs to the trace of the message that is being worked on, or else to that of the first operation which
is traced; it links to the requests of all of them, and requests that are still open link back to it. Where none is
traced there is no span.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
)

from holdfast.events import Event
from holdfast.operations.model import Operation

Value = str | int | float | bool
Attributes = Mapping[str, Value]

_SAMPLED = frozenset("13579bdf")


class Spans:
    """Makes the spans of a process.

    open: the spans of the requests that it is answering, by their traceparent.
    """

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.open: dict[str, Span] = {}
        self._breakers: dict[str, str] = {}

    def listen(self, event: Event) -> None:
        if event.name == "breaker.state_changed":
            self._breakers[event.source] = str(event.attributes["to"])

    def breaker(self, name: str) -> str:
        """The state of the breaker of that name, as this process has it."""
        return self._breakers.get(name, "closed")

    @contextmanager
    def call(
        self,
        name: str,
        operations: Iterable[Operation],
        kind: SpanKind,
        attributes: Attributes,
        since: int | None = None,
    ) -> Iterator[Span]:
        """A span, current within the block; one that records nothing where nothing of this is traced.

        since: when it began, nanoseconds since the epoch.
        """
        traced = [operation for operation in operations if is_sampled(operation.traceparent)]
        parent = _parent(traced)
        if parent is None:
            yield INVALID_SPAN
            return
        links = [Link(place(operation), about(operation)) for operation in traced]
        span = self.tracer.start_span(name, parent, kind, attributes, links, since)
        self._link_back(traced, span)
        with current(span):
            yield span

    def note(self, operation: Operation, attributes: Attributes) -> None:
        """On the span of its request, while that is open: what became of the operation."""
        asking = self._asking(operation)
        if asking is not None:
            asking.set_attributes({**about(operation), **attributes})

    def _link_back(self, traced: Sequence[Operation], span: Span) -> None:
        for operation in traced:
            asking = self._asking(operation)
            if asking is not None:
                asking.add_link(span.get_span_context())

    def _asking(self, operation: Operation) -> Span | None:
        return self.open.get(operation.traceparent) if operation.traceparent is not None else None


@contextmanager
def current(span: Span) -> Iterator[None]:
    """Makes it current and ends it after the block, as failed where that raises.

    An error's words stay out of it: they may hold data.
    """
    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield
    except Exception as error:
        fail(span, type(error).__qualname__)
        raise
    finally:
        span.end()


def fail(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def database(system: str, name: str, size: int) -> dict[str, Value]:
    """Attributes of a call for so many operations, as the semantic conventions for databases have them."""
    return {"db.system.name": system, "db.operation.name": name, "db.operation.batch.size": size}


def about(operation: Operation) -> dict[str, Value]:
    return {
        "holdfast.operation.id": operation.id,
        "holdfast.operation.kind": operation.kind.value,
        "holdfast.collection": operation.resource.collection,
    }


def is_sampled(traceparent: str | None) -> bool:
    return traceparent is not None and traceparent[-1:] in _SAMPLED


def within(operation: Operation) -> Context:
    """The context in which a span becomes part of the trace of the operation's request."""
    return trace.set_span_in_context(NonRecordingSpan(place(operation)), Context())


def place(operation: Operation) -> SpanContext:
    """The span that its traceparent names; that was checked when it came."""
    _, trace_id, span_id, flags = (operation.traceparent or "").split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def traceparent_of(span: Span) -> str:
    """How a header names it (W3C Trace Context, 3.2)."""
    here = span.get_span_context()
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"


def _parent(traced: Sequence[Operation]) -> Context | None:
    if trace.get_current_span().is_recording():
        return get_current()
    return within(traced[0]) if traced else None
