"""Worker and sweeper serve their metrics where a port is set for that, and push them where the environment says so."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from billiard import current_process

from adapters.assembly import System
from adapters.metrics import CannotServe, Children, MetricsServer, Push, from_thread, push_of, push_wanted
from adapters.settings import Settings

EXIT_CANNOT_LISTEN = 3


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
        """In the parent, before it has children. worker: Celery's."""
        self._worker = worker
        if self._children is not None:
            self._server = _serve(self._settings, self._children.render)

    def push(self) -> None:
        """In the parent, once it has children, so that they are not forked beside what is sending."""
        if self._children is not None:
            self._push = push_of(os.environ, "worker", self._children.render)

    def close(self) -> None:
        for each in (self._push, self._server):
            if each is not None:
                each.close()
        if self._children is not None:
            self._children.close()

    def _pids(self) -> list[int]:
        try:
            return list(self._worker.pool.info["processes"])
        except AttributeError:  # Celery has no pool before the start, and none to ask after the end
            return []


class Told:
    """Metrics that are served and pushed until `close`, as far as settings and environment ask for it."""

    def __init__(self, settings: Settings, program: str, render: Callable[[], bytes]) -> None:
        self._server = _serve(settings, render)
        self._push = push_of(os.environ, program, render)

    def close(self) -> None:
        """Not from an event loop that `render` needs."""
        for each in (self._push, self._server):
            if each is not None:
                each.close()


def tell(settings: Settings, system: System) -> Told:
    """The metrics of a sweeper's system, which runs on this event loop."""
    return Told(settings, "sweeper", from_thread(system.render_metrics))


def _serve(settings: Settings, render: Callable[[], bytes]) -> MetricsServer | None:
    """None where no port is set; the end of the process where it cannot be had."""
    if settings.metrics_port is None:
        return None
    try:
        return MetricsServer(settings.metrics_host, settings.metrics_port, render)
    except CannotServe as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_CANNOT_LISTEN) from None
