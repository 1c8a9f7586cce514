"""Requests counted and timed."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from api.measures import BOUNDS, Measure, Measures, RequestCollector, total
from api.waiting import Places


def test_percentiles_are_the_next_bound_above() -> None:
    measures = Measures()
    for seconds in [0.002] * 98 + [0.2, 99.0]:
        measures.add("records", "GET", 200, seconds)
    [measure] = measures.by_label.values()
    assert measure.count == 100
    assert (measure.below(0.5), measure.below(0.99), measure.below(1.0)) == (0.0025, 0.25, None)
    assert round(measure.mean or 0, 4) == round((0.002 * 98 + 0.2 + 99.0) / 100, 4)


def test_nothing_measured_has_no_mean_and_no_percentile() -> None:
    assert (Measure().mean, Measure().below(0.99), total([]).count) == (None, None, 0)


def test_a_duration_on_a_bound_counts_below_it_as_prometheus_has_it() -> None:
    measures = Measures()
    measures.add("records", "POST", 201, BOUNDS[0])
    registry = CollectorRegistry()
    registry.register(RequestCollector(measures, Places(5), Places(5)))
    text = generate_latest(registry).decode()
    labels = 'http_request_method="POST",http_response_status_code="201",http_route="records",le="0.001"'
    assert f"http_server_request_duration_seconds_bucket{{{labels}}} 1.0" in text
    assert "holdfast_http_requests_in_flight 0.0" in text


def test_measures_of_several_routes_add_up() -> None:
    measures = Measures()
    measures.add("records", "POST", 201, 0.002)
    measures.add("jobs", "GET", 200, 0.004)
    whole = total(measures.by_label.values())
    assert (whole.count, round(whole.seconds, 3)) == (2, 0.006)
