"""The counters of a program with child processes: each child counts in a file of its own, the parent adds them up.

prometheus_client's multiprocess mode, with one change: a file belongs to a place in the pool, not to a process. Who
takes the place of a child that died goes on with its counts, so that sums never fall and files never pile up.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from tempfile import mkdtemp

from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from . import families
from .collectors import Build
from .processes import Processes

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Children:
    """Made in the parent, before it has any. pids: of the children that live.

    Its folder goes with the parent, counts and all: for Prometheus it is another run then.
    """

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._folder = mkdtemp(prefix="holdfast-metrics-")
        self._registry = CollectorRegistry()
        MultiProcessCollector(self._registry, self._folder)  # type: ignore[no-untyped-call]
        for collector in (Build(), Processes(pids), _Living(pids)):
            self._registry.register(collector)

    def count_as(self, place: int) -> None:
        """In a child, before it makes its metrics. place: in the pool; no other child that lives has it."""
        os.environ[_VARIABLE] = self._folder
        values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]

    def render(self) -> bytes:
        """In the parent: the counts of all children as Prometheus text."""
        return generate_latest(self._registry)

    def close(self) -> None:
        """In the parent, at its end."""
        shutil.rmtree(self._folder, ignore_errors=True)


class _Living(Collector):
    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        living = families.WORKER_CHILDREN.levels()
        living.add_metric([], len(self._pids()))
        yield living
