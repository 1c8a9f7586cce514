"""The text of Prometheus as OTLP: sums and histograms since the start of the process, and gauges."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import pairwise
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from ..otel_resource import otel_resource

_CUMULATIVE = AggregationTemporality.CUMULATIVE


class OtlpSender:
    """To where the environment says. What nobody takes is logged by the exporter; the next push has it all."""

    def __init__(self, program: str) -> None:
        self._resource = otel_resource(program)
        self._scope = InstrumentationScope("holdfast", version("holdfast"))
        self._began = time.time_ns()
        self._exporter = OTLPMetricExporter()

    def send(self, text: str) -> None:
        found = list(metrics(text, self._began, time.time_ns()))
        scoped = ScopeMetrics(self._scope, found, "")
        self._exporter.export(MetricsData([ResourceMetrics(self._resource, [scoped], "")]))


def metrics(text: str, began: int, now: int) -> Iterator[Metric]:
    """The metrics that a text of Prometheus holds. began, now: nanoseconds since the epoch."""
    for family in text_string_to_metric_families(text):
        if not family.samples:
            continue
        data: Any
        if family.type == "histogram":
            data = Histogram(list(_distributions(family.samples, began, now)), _CUMULATIVE)
        elif family.type == "counter":
            data = Sum(list(_numbers(family.samples, began, now)), _CUMULATIVE, is_monotonic=True)
        else:
            data = Gauge(list(_numbers(family.samples, began, now)))
        yield Metric(family.name, family.documentation, _unit(family.name), data)


def _numbers(samples: Iterable[Sample], began: int, now: int) -> Iterator[NumberDataPoint]:
    for sample in samples:
        yield NumberDataPoint(sample.labels, began, now, sample.value)


def _distributions(samples: Iterable[Sample], began: int, now: int) -> Iterator[HistogramDataPoint]:
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in samples:
        labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        if sample.name.endswith("_bucket"):
            buckets.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_sum"):
            sums[labels] = sample.value
    for labels, reached in buckets.items():
        reached.sort()
        counts = [int(upper - lower) for (_, lower), (_, upper) in pairwise([(0.0, 0.0), *reached])]
        yield HistogramDataPoint(
            attributes=dict(labels),
            start_time_unix_nano=began,
            time_unix_nano=now,
            count=sum(counts),
            sum=sums[labels],
            bucket_counts=counts,
            explicit_bounds=[bound for bound, _ in reached[:-1]],
            min=None,  # type: ignore[arg-type]  # not known, and optional on the wire
            max=None,  # type: ignore[arg-type]
        )


def _unit(name: str) -> str:
    return "s" if name.endswith("_seconds") else "By" if name.endswith("_bytes") else ""
