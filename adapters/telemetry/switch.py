"""Whether a process is traced. Nothing of OpenTelemetry is imported until it is."""

from __future__ import annotations

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

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def _as_it_is(thing: T, *_: object) -> T:
    return thing


def untraced(app: App, _route: Route) -> App:
    return app


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What tracing does to the parts of a process; here, where it is off, nothing at all.

    store, ledger, sender: wrap a part of that kind; the text is the system behind it, in the words of the semantic
    conventions. http: wraps an ASGI application; a `Route` tells which template a request matched, once it is
    answered. listener: wraps the one that hears of breakers. close: sends what is left.
    """

    store: Callable[[Store, str], Store] = _as_it_is
    ledger: Callable[[Ledger, str], Ledger] = _as_it_is
    sender: Callable[[Celery, str], Celery] = _as_it_is
    http: Traced = untraced
    listener: Callable[[Listener], Listener] = _as_it_is
    close: Callable[[], Awaitable[None]] = _nothing


def telemetry_of(role: str, ratio: float, environ: Mapping[str, str]) -> Telemetry:
    """Make it in the process that it is for, after any fork, and once.

    role: `api`, `worker` or `sweeper`. ratio: of new traces that are recorded, where OTEL_TRACES_SAMPLER names no
    sampler. environ: of the whole process: OpenTelemetry reads its own variables there.
    """
    if not _wanted(environ):
        return Telemetry()
    from .on import turn_on

    return turn_on(role, ratio, environ)


def log_processors(environ: Mapping[str, str]) -> Sequence[Processor]:
    """What adds the trace to a log line: nothing where no process is traced."""
    if not _wanted(environ):
        return ()
    # All of it, before a worker forks: a child that had to import it might be killed for a slow start.
    from . import on  # noqa: F401
    from .lines import add_trace

    return (add_trace,)


def _wanted(environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(environ.get(name) for name in _ENDPOINTS)
