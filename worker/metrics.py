"""Worker and sweeper serve their metrics where a port is set for that, and push them where the environment says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from billiard import current_process

from adapters.assembly import System
from adapters.exits import CANNOT_LISTEN, end
from adapters.metrics import CannotServe, Children, MetricsServer, Push, from_thread, push_of, push_wanted
from adapters.settings import Settings


class WorkerMetrics:
    """What the worker's children count; the parent tells the sums. Where nobody wants them nothing is shared."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._worker: Any = None
        self._server: MetricsServer | None = None
        self._push: Push | None = None
        wanted = settings.metrics_port is not None or push_wanted(os.environ)
        self._children = Children(self._pids) if wanted else None

    def begin_child(self) -> None:
        """In a child, before anything is counted."""
        if self._children is not None:
            self._children.count_as(current_process().index)

    def serve(self, worker: Any) -> None:
        """In the parent, before it has children. worker: Celery's. Ends the process where the port cannot be had."""
        self._worker = worker
        if self._children is not None:
            self._server = _serve(self._settings, self._children.render)

    def push(self) -> None:
        """In the parent, once it has children, so that they are not forked beside what is sending."""
        if self._children is not None:
            self._push = push_of(os.environ, "worker", self._children.render)

    def close(self) -> None:
        _close(self._push, self._server)
        if self._children is not None:
            self._children.close()

    def _pids(self) -> list[int]:
        try:
            return list(self._worker.pool.info["processes"])
        except AttributeError:  # Celery has no pool before the start, and none to ask after the end
            return []


class SweeperMetrics:
    """The metrics of a sweeper, from its making to `close`. system: runs on this event loop.

    Ends the process where the port cannot be had.
    """

    def __init__(self, settings: Settings, system: System) -> None:
        render = from_thread(system.render_metrics)
        self._server = _serve(settings, render)
        self._push = push_of(os.environ, "sweeper", render)

    def close(self) -> None:
        """Push once more and stop serving. Not to be called on the system's event loop, which renders meanwhile."""
        _close(self._push, self._server)


def _serve(settings: Settings, render: Callable[[], bytes]) -> MetricsServer | None:
    """None where no port is set; the end of the process where it cannot be had."""
    if settings.metrics_port is None:
        return None
    try:
        return MetricsServer(settings.metrics_host, settings.metrics_port, render)
    except CannotServe as error:
        end(str(error), CANNOT_LISTEN)


def _close(push: Push | None, server: MetricsServer | None) -> None:
    if push is not None:
        push.close()
    if server is not None:
        server.close()
