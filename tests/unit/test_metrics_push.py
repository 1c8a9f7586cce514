"""Metrics over OTLP, as a collector gets them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from adapters.metrics.otlp import OtlpSender
from adapters.metrics.push import Push, push_of
from tests.support.otlp_metrics import Receiver, running_receiver
from tests.support.processes import wait_until

TEXT = """\
# HELP things_total Things.
# TYPE things_total counter
things_total{kind="a"} 3.0
things_total{kind="b"} 4.0
# HELP level Now.
# TYPE level gauge
level 0.5
# HELP took_seconds Long.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1",who="x"} 1.0
took_seconds_bucket{le="1.0",who="x"} 4.0
took_seconds_bucket{le="+Inf",who="x"} 6.0
took_seconds_count{who="x"} 6.0
took_seconds_sum{who="x"} 9.5
"""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with running_receiver() as receiver:
        for name, value in receiver.variables.items():
            monkeypatch.setenv(name, value)
        yield receiver


def test_counters_gauges_and_histograms_arrive_as_what_they_are(receiver: Receiver) -> None:
    OtlpSender("api").send(TEXT)
    found = receiver.services["holdfast-api"]
    things = {point.attributes[0].value.string_value: point.as_double for point in found["things"].sum.data_points}
    assert (things, found["things"].sum.is_monotonic) == ({"a": 3.0, "b": 4.0}, True)
    assert [point.as_double for point in found["level"].gauge.data_points] == [0.5]
    (took,) = found["took_seconds"].histogram.data_points
    assert (list(took.explicit_bounds), list(took.bucket_counts)) == ([0.1, 1.0], [1, 3, 2])
    assert (took.count, took.sum, found["took_seconds"].unit) == (6, 9.5, "s")
    assert not took.HasField("min")


def test_processes_of_one_service_are_told_apart(receiver: Receiver) -> None:
    OtlpSender("api").send(TEXT)
    subprocess.run(
        [sys.executable, "-c", f"import {__name__} as this; this.OtlpSender('api').send(this.TEXT)"], check=True
    )
    assert len(receiver.instances["holdfast-api"]) == 2


def test_nothing_is_pushed_unless_it_is_asked_for() -> None:
    before = set(threading.enumerate())
    assert push_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://somewhere"}, "api", bytes) is None
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("interval", ["often", "0", "-1", "inf", "nan"])
def test_an_interval_that_cannot_be_is_told_of_and_ends_nothing(
    receiver: Receiver, interval: str, caplog: pytest.LogCaptureFixture
) -> None:
    environ = receiver.variables | {"OTEL_METRIC_EXPORT_INTERVAL": interval}
    push = push_of(environ, "worker", lambda: b"# TYPE level gauge\nlevel 7.0\n")
    assert push is not None
    push.close()
    assert f"OTEL_METRIC_EXPORT_INTERVAL={interval!r} must be milliseconds" in caplog.text
    assert receiver.services["holdfast-worker"]["level"].gauge.data_points[0].as_double == 7.0


def test_the_end_pushes_what_was_counted_last(receiver: Receiver) -> None:
    environ = receiver.variables | {"OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
    push = push_of(environ, "worker", lambda: b"# TYPE level gauge\nlevel 7.0\n")
    assert push is not None
    assert not receiver.services
    push.close()
    assert receiver.services["holdfast-worker"]["level"].gauge.data_points[0].as_double == 7.0


def test_a_push_that_fails_does_not_end_those_that_follow() -> None:
    sent: list[str] = []

    class Failing:
        def send(self, text: str) -> None:
            sent.append(text)
            if len(sent) == 1:
                raise OSError("nobody takes it")

    push = Push(lambda: b"level 1.0\n", Failing(), 0.01)
    wait_until(lambda: len(sent) >= 3, "it goes on")
    push.close()
