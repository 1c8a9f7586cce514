"""Requests counted and timed, for `/metrics` and `/admin/stats`."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from adapters.metrics.families import HTTP_DURATION, HTTP_IN_FLIGHT, HTTP_PROBLEMS, HTTP_WAITING
from adapters.metrics.families import REQUESTS as BOUNDS

from .waiting import Places

Label = tuple[str, str, int]


class Measure:
    """How long requests took.

    buckets: how many by duration, the last for those above every bound.
    seconds: the sum of their durations.
    """

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
        return reached_by(share, self.buckets, BOUNDS)


class Measures:
    """One per process, for one event loop. By route, method and status of the answer.

    problems: answers that were one, by the last part of its type.
    """

    def __init__(self) -> None:
        self.by_label: dict[Label, Measure] = {}
        self.problems: Counter[str] = Counter()

    def add(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request. Each label is one of a known set: else a client could make labels without end."""
        label = (route, method, status)
        measure = self.by_label.get(label)
        if measure is None:
            measure = self.by_label[label] = Measure()
        measure.buckets[bisect_left(BOUNDS, seconds)] += 1
        measure.seconds += seconds


def reached_by(share: float, buckets: Sequence[int], bounds: Sequence[float]) -> float | None:
    """The least bound that this share did not exceed; None above all bounds, and where there is nothing."""
    enough = share * sum(buckets)
    for bound, reached in zip(bounds, accumulate(buckets), strict=False):
        if reached and reached >= enough:
            return bound
    return None


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
        yield self._problems()
        for family, places in ((HTTP_IN_FLIGHT, self._requests), (HTTP_WAITING, self._waiting)):
            taken = family.levels()
            taken.add_metric([], places.taken)
            yield taken

    def _durations(self) -> Metric:
        family = HTTP_DURATION.distribution()
        for (route, method, status), measure in list(self._measures.by_label.items()):
            bounds = [*(repr(bound) for bound in BOUNDS), "+Inf"]
            buckets = list(zip(bounds, accumulate(measure.buckets), strict=True))
            family.add_metric([route, method, str(status)], buckets, measure.seconds)
        return family

    def _problems(self) -> Metric:
        family = HTTP_PROBLEMS.counts()
        for slug, count in list(self._measures.problems.items()):
            family.add_metric([slug], count)
        return family
