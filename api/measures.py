"""Requests counted and timed, for `/metrics` and `/admin/stats`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .waiting import Places

# Seconds.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Label = tuple[str, str, int]


class Measure:
    """buckets: requests by duration, the last for those above every bound. seconds: their sum."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    @property
    def count(self) -> int:
        return sum(self.buckets)

    @property
    def mean(self) -> float | None:
        return self.seconds / self.count if self.count else None

    def below(self, share: float) -> float | None:
        """The least bound, in seconds, that this share of requests did not exceed; None above all bounds."""
        enough = share * self.count
        for bound, reached in zip(BOUNDS, accumulate(self.buckets), strict=False):
            if reached and reached >= enough:
                return bound
        return None


class Measures:
    """One per process, for one event loop. By route, method and status of the answer."""

    def __init__(self) -> None:
        self.by_label: dict[Label, Measure] = {}

    def add(self, route: str, method: str, status: int, seconds: float) -> None:
        """Each of a known set, or a client could make labels without end."""
        label = (route, method, status)
        measure = self.by_label.get(label)
        if measure is None:
            measure = self.by_label[label] = Measure()
        measure.buckets[bisect_left(BOUNDS, seconds)] += 1
        measure.seconds += seconds


def total(measures: Iterable[Measure]) -> Measure:
    whole = Measure()
    for each in measures:
        whole.buckets = [mine + its for mine, its in zip(whole.buckets, each.buckets, strict=True)]
        whole.seconds += each.seconds
    return whole


class RequestCollector(Collector):
    """The measures as Prometheus takes them."""

    def __init__(self, measures: Measures, requests: Places, waiting: Places) -> None:
        self._measures = measures
        self._requests = requests
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        yield self._durations()
        yield GaugeMetricFamily(
            "holdfast_http_requests_in_flight", "Requests on records that are being answered.", self._requests.taken
        )
        yield GaugeMetricFamily("holdfast_http_requests_waiting", "Requests that wait for a job.", self._waiting.taken)

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "holdfast_http_request_duration_seconds", "From the head's arrival to the answer.", labels=_LABELS
        )
        for (route, method, status), measure in list(self._measures.by_label.items()):
            bounds = [*(repr(bound) for bound in BOUNDS), "+Inf"]
            buckets = list(zip(bounds, accumulate(measure.buckets), strict=True))
            family.add_metric([route, method, str(status)], buckets, measure.seconds)
        return family


_LABELS = ("route", "method", "status")
