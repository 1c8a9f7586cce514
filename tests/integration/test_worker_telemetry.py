"""What the children of a real worker tell over OTLP: those it began with, and those that took their places."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from adapters.assembly import Role
from tests.support.collector import Collector, Line, running_collector
from tests.support.otlp_metrics import Receiver, running_receiver
from tests.support.workers import Program, Site, eventually, hold, running_site, settled

NEVER = "600000"


@pytest.fixture(scope="module")
def shared_site() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def site(shared_site: Site, collector: Collector, receiver: Receiver) -> Iterator[Site]:
    """Its programs tell everything."""
    shared_site.settings |= collector.variables | receiver.variables
    yield shared_site
    while shared_site.programs:
        shared_site.programs.pop().kill()


async def replay(site: Site) -> None:
    """Have work done by whoever does it, though a doorbell may be lost with a child."""
    async with site.system(Role.API, backup_sweep_interval=0.5, workers_silent_after=600) as system:
        await settled(system, await hold(system, mailboxes=20))


def pids(worker: Program) -> set[int]:
    return {child.pid for child in worker.children()}


def replayed(collector: Collector) -> list[Line]:
    return [line for line in collector.lines("replayed") if line.logger == "worker.tasks"]


def applied(receiver: Receiver) -> int:
    """Calls to the store, by all children."""
    found = receiver.services["holdfast-worker"].get("holdfast_call_duration_seconds")
    points = found.histogram.data_points if found else ()
    wanted = {"store", "apply", "ok"}
    return sum(point.count for point in points if wanted <= {each.value.string_value for each in point.attributes})


async def told_by_children(site: Site, collector: Collector, worker: Program) -> Line:
    """A line of a child that lives now, in a trace that the same process has sent."""
    found: list[Line] = []

    async def look() -> None:
        await replay(site)
        await eventually(lambda: replayed(collector), "a line of a child")
        found.extend(line for line in replayed(collector) if line.pid in pids(worker))

    while not found:
        await look()
    span = collector.at(*found[0].place)
    assert span.name == "run/holdfast.replay"
    assert (span.pid, span.instance) == (found[0].pid, found[0].instance)
    return found[0]


async def test_lines_spans_and_metrics_of_children_arrive_and_of_those_that_take_their_places(
    site: Site, collector: Collector, receiver: Receiver
) -> None:
    worker = site.start(worker_concurrency=2).until_ready()
    first = await told_by_children(site, collector, worker)
    assert first.service == "holdfast-worker"
    await eventually(lambda: applied(receiver) >= 1, "their calls are pushed")
    before, known = applied(receiver), pids(worker)
    for child in worker.children():
        child.kill()
    await eventually(lambda: len(pids(worker)) == 2 and not pids(worker) & known, "others have come")
    second = await told_by_children(site, collector, worker)
    assert second.pid not in known
    assert second.instance != first.instance
    await eventually(lambda: applied(receiver) > before, "the calls of the others are added")


async def test_each_line_is_sent_once_by_the_process_that_wrote_it(site: Site, collector: Collector) -> None:
    worker = site.start(worker_concurrency=2).until_ready()
    line = await told_by_children(site, collector, worker)
    assert worker.terminate() == 0
    assert len([each for each in replayed(collector) if each.time == line.time]) == 1
    assert len(replayed(collector)) == worker.log().count("replayed")


async def test_what_is_left_at_the_end_is_sent_by_children_and_parent(
    site: Site, collector: Collector, receiver: Receiver
) -> None:
    site.settings |= {
        "OTEL_BLRP_SCHEDULE_DELAY": NEVER,
        "OTEL_BSP_SCHEDULE_DELAY": NEVER,
        "OTEL_METRIC_EXPORT_INTERVAL": NEVER,
    }
    worker = site.start(worker_concurrency=1, log_level="debug").until_ready()
    children = pids(worker)
    await replay(site)
    assert not collector.lines() + collector.spans()
    assert worker.terminate() == 0
    senders = {line.pid for line in collector.lines()}
    assert senders > children, "the parent too"
    assert {span.pid for span in collector.spans()} == children
    assert applied(receiver) >= 1, worker.log()


async def test_a_collector_that_hangs_keeps_no_worker_from_its_orderly_end(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        site.settings |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{url}/v1/metrics",
        }
        worker = site.start(worker_concurrency=1, shutdown_grace=4).until_ready()
        await replay(site)
        assert worker.terminate() == 0, worker.log()
