"""Whether a process sends its traces and its log lines. Nothing of OpenTelemetry is imported until it does."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.events import Listener
from holdfast.operations.ports import Ledger, Store

if TYPE_CHECKING:
    from celery import Celery
    from structlog.typing import Processor

T = TypeVar("T")

# ASGI, as far as it matters here.
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]
Route = Callable[[Scope], str]
Traced = Callable[[App, Route], App]

Send = Callable[[logging.LogRecord, Mapping[str, Any]], None]


def _as_it_is(thing: T, *_: object) -> T:
    return thing


def untraced(app: App, _route: Route) -> App:
    return app


async def _nothing() -> None:
    pass


def _nothing_now() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Telemetry:
    """How tracing wraps the parts of a process. By default it is off, and leaves each of them as it is.

    store, ledger: wrap an adapter; the text names its system as the semantic conventions do.
    sender:        wraps what sends doorbells, likewise.
    http:          wraps an ASGI application; a `Route` tells which template a request matched, once it is answered.
    listener:      wraps the listener that hears of breakers.
    close:         sends what is left.
    """

    store: Callable[[Store, str], Store] = _as_it_is
    ledger: Callable[[Ledger, str], Ledger] = _as_it_is
    sender: Callable[[Celery, str], Celery] = _as_it_is
    http: Traced = untraced
    listener: Callable[[Listener], Listener] = _as_it_is
    close: Callable[[], Awaitable[None]] = _nothing


@dataclass(frozen=True, slots=True)
class Lines:
    """What becomes of a process's log lines besides being written. By default, nothing.

    add:   puts the trace into each.
    send:  takes each, as it is written.
    begin: to be called in a process that was forked from this one, before it sends anything.
    close: sends what is left, for a bounded time.
    """

    add: Sequence[Processor] = ()
    send: Send | None = None
    begin: Callable[[], None] = _nothing_now
    close: Callable[[], None] = _nothing_now


def telemetry_of(role: str, ratio: float, environ: Mapping[str, str]) -> Telemetry:
    """Make it in the process that it is for, after any fork, and once.

    role: `api`, `worker` or `sweeper`. ratio: of new traces that are recorded, where OTEL_TRACES_SAMPLER names no
    sampler. environ: of the whole process: OpenTelemetry reads its own variables there.
    """
    if not _wanted("TRACES", environ):
        return Telemetry()
    from .on import turn_on

    return turn_on(role, ratio, environ)


def lines_of(role: str, environ: Mapping[str, str]) -> Lines:
    """Once in a process, before anything is logged. role, environ: as for `telemetry_of`."""
    traced, sent = _wanted("TRACES", environ), _wanted("LOGS", environ)
    if not (traced or sent):
        return Lines()
    if traced:
        # All of it, before a worker forks: a child that had to import it might be killed for a slow start.
        from . import on  # noqa: F401
    from .lines import LineSender, add_trace

    if not sent:
        return Lines((add_trace,))
    sender = LineSender(role)
    return Lines((add_trace,), sender.send, sender.begin, sender.close)


def _wanted(signal: str, environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get(f"OTEL_{signal}_EXPORTER") == "none":
        return False
    return any(environ.get(f"OTEL_EXPORTER_OTLP_{which}ENDPOINT") for which in ("", f"{signal}_"))
