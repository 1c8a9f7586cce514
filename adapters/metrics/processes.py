"""What a program with child processes takes of the machine: parent and children together, under the usual names."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_CPU = "process_cpu_seconds"
_ADDED = (_CPU, "process_resident_memory_bytes", "process_open_fds")


class Processes(Collector):
    """Memory that they share counts once for each. Tells nothing where there is no /proc."""

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        pids: list[int | str] = ["self", *self._pids()]
        every = [_values(pid) for pid in pids]
        for name in _ADDED:
            if name in every[0]:
                yield _family(name, sum(values.get(name, 0.0) for values in every) + _of_the_dead(name))
        for name in ("process_start_time_seconds", "process_max_fds"):
            if name in every[0]:
                yield _family(name, every[0][name])


def _values(pid: int | str) -> dict[str, float]:
    found = ProcessCollector(registry=None, pid=lambda: pid).collect()
    return {metric.name: metric.samples[0].value for metric in found}


def _of_the_dead(name: str) -> float:
    """The time of children that have ended, without which the sum would fall."""
    if name != _CPU:
        return 0.0
    import resource

    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _family(name: str, value: float) -> Metric:
    text = "Of the parent and its children." if name in _ADDED else "Of the parent."
    return (CounterMetricFamily if name == _CPU else GaugeMetricFamily)(name, text, value=value)
