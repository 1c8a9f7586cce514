"""The HTTP edge of a system, as one ASGI application."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from adapters.assembly import Role, System
from adapters.keys_file import KeysFile
from adapters.settings import Settings
from holdfast.clock import Clock, system_clock

from .documents.document import add_document
from .edge import Edge, Problems
from .measures import Measures, RequestCollector
from .principal import Admit, everybody, holders_of
from .rates import Rates, limited
from .records.limits import Limits
from .records.routes import records
from .routes import admin, health, jobs, pages
from .routes.replies import add_problems
from .waiting import Places, Waiting


def make_app(
    system: System,
    settings: Settings,
    waiting: Waiting | None = None,
    *,
    keys: KeysFile | None = None,
    clock: Clock = system_clock,
) -> Edge:
    """Starts and closes the system with its own life (ASGI lifespan).

    keys:    who may ask; None for everybody.
    waiting: places of long polls; `stop` it when the process is to end, so that they end too.
    """
    waiting = waiting or Waiting(settings.max_requests)
    requests, measures, limits = Places(settings.max_requests), Measures(), _limits(settings)
    admit = _admission(settings, keys, clock)
    system.metrics.registry.register(RequestCollector(measures, requests, waiting))
    hot = records(
        system.writer,
        system.reader,
        system.jobs,
        admit=admit,
        limits=limits,
        requests=requests,
        waiting=waiting,
        measures=measures,
        clock=clock,
    )
    others = _others(system, measures, requests, waiting)
    monitoring_is_open = settings.monitoring == "open"
    add_document(others, limits, keys_are_needed=keys is not None, monitoring_is_open=monitoring_is_open)
    return Edge(
        hot,
        others,
        admit=admit,
        monitoring_is_open=monitoring_is_open,
        measures=measures,
        start=lambda: system.start(Role.API),
        close=system.close,
    )


def _others(system: System, measures: Measures, requests: Places, waiting: Waiting) -> FastAPI:
    """All but the records: what is asked seldom."""
    app = FastAPI(title="Holdfast", version=version("holdfast"), docs_url=None, redoc_url=None)
    app.include_router(jobs.router(system.jobs, waiting))
    app.include_router(health.router(system, waiting))
    app.include_router(admin.router(system, measures, requests, waiting))
    app.include_router(pages.router())
    app.add_middleware(Problems, measures=measures)
    add_problems(app)
    return app


def _admission(settings: Settings, keys: KeysFile | None, clock: Clock) -> Admit:
    admit = everybody if keys is None else holders_of(keys, clock)
    if settings.rate_limit is None:
        return admit
    return limited(admit, Rates(settings.rate_limit, settings.rate_period, clock))


def _limits(settings: Settings) -> Limits:
    return Limits(
        body=settings.max_body,
        id=settings.max_id_length,
        depth=settings.max_depth,
        page=settings.page_size,
        longest_page=settings.max_page_size,
    )
