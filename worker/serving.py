"""Worker and sweeper serve their metrics, where a port is set for that."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from billiard import current_process

from adapters.assembly import System
from adapters.metrics import CannotServe, Children, MetricsServer
from adapters.settings import Settings

EXIT_CANNOT_LISTEN = 3

# Seconds for which a scrape waits for the sweeper's event loop.
_PATIENCE = 5.0


class WorkerMetrics:
    """What the worker's children count; the parent serves the sums. Without a port nothing is served or shared."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._worker: Any = None
        self._server: MetricsServer | None = None
        self._children = None if settings.metrics_port is None else Children(self._pids)

    def begin_child(self) -> None:
        """In a child, before anything is counted."""
        if self._children is not None:
            self._children.count_as(current_process().index)

    def serve(self, worker: Any) -> None:
        """In the parent, before it has children. worker: Celery's."""
        self._worker = worker
        if self._children is not None:
            self._server = serve(self._settings, self._children.render)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._children is not None:
            self._children.close()

    def _pids(self) -> list[int]:
        pool = self._worker.pool
        return [] if pool is None else list(pool.info["processes"])


def serve_system(settings: Settings, system: System) -> MetricsServer | None:
    """The metrics of a system that runs on this event loop."""
    loop = asyncio.get_running_loop()

    def render() -> bytes:
        return asyncio.run_coroutine_threadsafe(system.render_metrics(), loop).result(_PATIENCE)

    return serve(settings, render)


def serve(settings: Settings, render: Callable[[], bytes]) -> MetricsServer | None:
    """None where no port is set; the end of the process where it cannot be had."""
    if settings.metrics_port is None:
        return None
    try:
        return MetricsServer(settings.metrics_host, settings.metrics_port, render)
    except CannotServe as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_CANNOT_LISTEN) from None
