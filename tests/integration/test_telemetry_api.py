"""Traces of one API process in the memory profile, as a collector receives them over OTLP."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.api_process import ApiProcess, running
from tests.support.collector import Collector, Received, running_collector
from tests.support.processes import WAIT, free_port, wait_until

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{}"
ON_A_RECORD = "PUT /v1/records/{collection}/{id}"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def api(collector: Collector) -> Iterator[ApiProcess]:
    with running(**collector.variables, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test") as api:
        yield api


def put(api: ApiProcess, record: str, **headers: str) -> str:
    """Write it; return the path that was written to."""
    path = f"/v1/records/notes/{record}"
    answer = api.http.put(path, content=b'{"text": "secret"}', headers={**JSON, **headers})
    assert answer.status_code in (200, 201, 202)
    return path


def of(collector: Collector, path: str) -> Received:
    """The span of the request for that path."""
    wait_until(lambda: found(collector, path), f"a span of {path}")
    return found(collector, path)[0]


def found(collector: Collector, path: str) -> list[Received]:
    return [span for span in collector.spans() if span.attributes.get("url.path") == path]


def beneath(collector: Collector, asked: Received) -> dict[str, Received]:
    return {span.name: span for span in collector.spans() if (span.trace, span.parent) == asked.place}


def test_a_request_is_one_span_by_its_route_with_the_steps_of_the_write_beneath(
    api: ApiProcess, collector: Collector
) -> None:
    asked = of(collector, put(api, "one"))
    assert (asked.name, asked.service, asked.parent) == (ON_A_RECORD, "holdfast-api", "")
    assert asked.attributes["http.response.status_code"] == 201
    assert asked.attributes["holdfast.outcome"] == "applied"
    wait_until(lambda: {"gate", "apply"} <= beneath(collector, asked).keys(), "the steps")
    steps = beneath(collector, asked)
    assert asked.began <= steps["gate"].began <= steps["apply"].began <= steps["apply"].ended <= asked.ended
    assert set(asked.links) == {steps["gate"].place, steps["apply"].place}


def test_the_callers_trace_goes_on(api: ApiProcess, collector: Collector) -> None:
    asked = of(collector, put(api, "called", traceparent=CALLER.format("01")))
    assert (asked.trace, asked.parent) == tuple(CALLER.split("-")[1:3])


def test_what_a_caller_does_not_record_is_not_recorded_here(api: ApiProcess, collector: Collector) -> None:
    quiet = put(api, "quiet", traceparent=CALLER.format("00"))
    of(collector, put(api, "after-quiet"))
    assert found(collector, quiet) == []


@pytest.mark.parametrize("malformed", ["nonsense", CALLER.format("01") + "\xff", CALLER.format("zz"), "00-0-0-01"])
def test_a_malformed_traceparent_begins_a_trace_of_its_own(
    api: ApiProcess, collector: Collector, malformed: str
) -> None:
    path = f"/v1/records/notes/malformed-{len(malformed)}-{malformed[-2:].encode().hex()}"
    headers = {**JSON, "traceparent": malformed.encode("latin-1")}
    assert api.http.put(path, content=b"{}", headers=headers).status_code == 201  # type: ignore[arg-type]
    asked = of(collector, path)
    assert asked.parent == ""
    wait_until(lambda: {"gate", "apply"} <= beneath(collector, asked).keys(), "the steps")


def test_requests_of_the_same_moment_share_a_batch_that_leads_to_each(api: ApiProcess, collector: Collector) -> None:
    with ThreadPoolExecutor(16) as pool:
        paths = list(pool.map(lambda n: put(api, f"many-{n}"), range(64)))
    asked = [of(collector, path) for path in paths]
    assert len({span.trace for span in asked}) == len(paths)
    wait_until(lambda: _linked(collector) >= {span.place for span in asked}, "a batch for each")
    assert all(len(span.links) == 2 for span in asked), "and each leads to its gate and its apply"


def _linked(collector: Collector) -> set[tuple[str, str]]:
    return {place for span in collector.spans("apply") for place in span.links}


def test_a_held_write_is_replayed_in_the_trace_of_its_request(api: ApiProcess, collector: Collector) -> None:
    asked = of(collector, put(api, "held", prefer="respond-async"))
    id_ = asked.attributes["holdfast.operation.id"]
    assert (asked.attributes["http.response.status_code"], asked.attributes["holdfast.outcome"]) == (202, "held")
    assert collector.one("replay", operation_id=id_).parent == asked.id


def test_probes_are_not_traced_and_other_routes_are(api: ApiProcess, collector: Collector) -> None:
    for path in ("/livez", "/readyz", "/health", "/metrics", "/admin/stats", "/nowhere"):
        api.http.get(path)
    assert of(collector, "/admin/stats").name == "GET /admin/stats"
    assert of(collector, "/nowhere").name == "GET"
    assert not any(found(collector, path) for path in ("/livez", "/readyz", "/health", "/metrics"))


def test_a_span_holds_no_data(api: ApiProcess, collector: Collector) -> None:
    of(collector, put(api, "last"))
    assert not any(b"secret" in body for body in collector.raw)


def test_resource_attributes_and_the_services_name_can_be_given(collector: Collector) -> None:
    with running(**collector.variables, OTEL_SERVICE_NAME="shop") as api:
        asked = of(collector, put(api, "named"))
    assert asked.service == "shop"
    assert any(b"deployment.environment.name" in body for body in collector.raw)


def test_the_ratio_of_new_traces_is_a_setting_and_the_callers_are_followed_all_the_same(collector: Collector) -> None:
    with running(**{**collector.variables, "HOLDFAST_TRACE_RATIO": "0"}) as api:
        unseen = [put(api, f"unseen-{n}") for n in range(20)]
        of(collector, put(api, "seen", traceparent=CALLER.format("01")))
    assert not any(found(collector, path) for path in unseen)


def test_what_is_left_at_the_end_is_sent(collector: Collector) -> None:
    with running(**{**collector.variables, "OTEL_BSP_SCHEDULE_DELAY": "600000"}) as api:
        path = put(api, "late")
        assert found(collector, path) == []
        assert api.ended() == 0
    assert found(collector, path)


def test_a_collector_that_is_away_costs_nobody_anything() -> None:
    nowhere = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "HOLDFAST_TRACE_RATIO": "1"}
    with running(**nowhere, HOLDFAST_SHUTDOWN_GRACE="1") as api:
        for n in range(50):
            put(api, f"away-{n}")
        began = time.monotonic()
        assert api.ended(signal.SIGTERM) == 0
    assert time.monotonic() - began < WAIT
