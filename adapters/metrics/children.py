"""The counters of a program with child processes: each child counts in a file of its own, the parent adds them up.

prometheus_client's multiprocess mode, with one change: a file belongs to a place in the pool, not to a process. Who
takes the place of a child that died goes on with its counts, so that sums never fall and files never pile up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from . import families
from .collectors import Build
from .processes import Processes

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "holdfast-metrics-"

# Seconds in which a folder that was just made is held.
_YOUNG = 60.0


class Children:
    """Made in the parent, before it has any. pids: of the children that live.

    Its folder goes with the parent, counts and all: for Prometheus it is another run then.
    """

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._folder = mkdtemp(prefix=_PREFIX)
        self._held = _hold(self._folder)
        _remove_what_was_left(Path(gettempdir()))
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
        os.close(self._held)


def _hold(folder: str | Path) -> int:
    """Lock the folder for as long as this process and its children live. Raises BlockingIOError where others do."""
    import fcntl

    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise
    return held


def _remove_what_was_left(root: Path) -> None:
    """Folders of workers that were killed, which nobody holds any more."""
    for folder in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _YOUNG:
                held = _hold(folder)
                shutil.rmtree(folder, ignore_errors=True)
                os.close(held)


class _Living(Collector):
    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        living = families.WORKER_CHILDREN.levels()
        living.add_metric([], len(self._pids()))
        yield living
