"""What an operator sees of an outage: a real Prometheus on a real stack, with the project's rules and dashboards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.stack.handle import Stack
from tests.support.http import Client, at_once
from tests.support.otlp_metrics import Receiver, running_receiver
from tests.support.processes import wait_until
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.scrapes import Values, scrape, total, values
from tests.support.stack import running_stack

ROOT = Path(__file__).parents[2]
PROGRAMS = ("api", "worker", "sweeper")
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
PATIENCE = 60.0


@dataclass(frozen=True)
class Story:
    """One outage, as it was told. before, after: what each program told. during: the alerts that fired."""

    before: dict[str, Values]
    after: dict[str, Values]
    during: set[str]
    texts: dict[str, str]
    prometheus: Prometheus


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def stack(receiver: Receiver) -> Iterator[Stack]:
    slow = {"HOLDFAST_STACK_WORKER_REPLAY_BATCH": "16", "HOLDFAST_STACK_WORKER_REPLAY_REST": "5"}
    patient = {f"HOLDFAST_{name}_TIMEOUT": "15" for name in ("STORE", "LEDGER", "CACHE")}
    with running_stack(**slow, **patient, HOLDFAST_WRITE_PATIENCE="15", **receiver.variables) as stack:
        yield stack


@pytest.fixture(scope="module")
def story(stack: Stack) -> Iterator[Story]:
    """Two hundred writes are held, one is taken back, one will be refused; the worker is killed in the drain."""
    jobs = {f"holdfast-{name}": stack.url(name) for name in PROGRAMS}
    with running_prometheus(jobs) as prometheus, Client(stack.url("api"), "things") as client:
        assert client.replace("known", {"n": 0}).status_code == 201
        wait_until(lambda: prometheus.value("max(holdfast_operations_held_total)") is not None, "it is scraped")
        before = told(stack)
        stack.kill("postgres")
        held = at_once([lambda n=n: client.replace(f"r{n}", {"n": n}) for n in range(200)])
        assert {answer.status_code for answer in held} == {202}
        taken_back = client.replace("taken-back", {"n": 0})
        assert client.http.delete(taken_back.headers["location"]).status_code == 200
        refused = client.replace("known", {"n": 1}, if_match='"99"')
        assert client.get("known").headers["cache-status"]
        wait_until(lambda: "HoldfastStoreDown" in prometheus.firing(), "the alert fires", seconds=PATIENCE)
        during = prometheus.firing()
        stack.start("postgres")
        wait_until(lambda: client.backlog() < 190, "the drain has begun", seconds=PATIENCE)
        stack.kill("worker")
        stack.start("worker")
        assert client.settled(refused)["state"] == "failed"
        wait_until(lambda: client.backlog() == 0, "nothing waits", seconds=PATIENCE)
        wait_until(lambda: children(stack) == 2, "the worker is whole again", seconds=PATIENCE)
        texts = {name: scrape(stack.url(name)) for name in PROGRAMS}
        yield Story(before, told(stack), during, texts, prometheus)


def children(stack: Stack) -> float:
    return total(values(scrape(stack.url("worker"))), "holdfast_worker_children")


def told(stack: Stack) -> dict[str, Values]:
    return {name: values(scrape(stack.url(name))) for name in PROGRAMS}


@pytest.mark.parametrize("program", ["api", "sweeper"])
def test_all_that_was_held_is_accounted_for_whoever_died(story: Story, program: str) -> None:
    before, after = story.before[program], story.after[program]

    def more(name: str, *labels: str) -> float:
        return total(after, name, *labels) - total(before, name, *labels)

    settled = {
        outcome: more("holdfast_operations_settled_total", outcome)
        for outcome in ("succeeded", "failed", "superseded", "cancelled", "dead")
    }
    assert settled == {"succeeded": 200, "failed": 1, "superseded": 0, "cancelled": 1, "dead": 0}
    assert more("holdfast_operations_held_total") == 202
    assert total(after, "holdfast_backlog_operations") + total(after, "holdfast_dead_operations") == 0
    assert more("holdfast_replay_latency_seconds_count") == 201


def test_what_the_ledger_knows_is_told_alike_by_all_who_tell_it(story: Story) -> None:
    def facts(program: str) -> Values:
        names = ("holdfast_operations", "holdfast_replay_latency", "holdfast_dead", "holdfast_backlog_operations")
        return {key: value for key, value in story.after[program].items() if key[0].startswith(names)}

    assert facts("api") == facts("sweeper") != {}
    assert facts("worker") == {}


def test_the_outage_shows_in_calls_breakers_and_answers_from_the_cache(story: Story) -> None:
    api = story.after["api"]
    assert total(api, "holdfast_breaker_state_changes_total", "store", "open") >= 1
    assert total(api, "holdfast_breaker_rejected_total", "store") >= 1
    assert total(api, "holdfast_cache_reads_total", "hit") == 1
    assert total(api, "holdfast_cache_answer_age_seconds_count") == 1
    assert total(api, "db_client_connection_max", "store") > 0


def test_the_alert_for_the_store_fires_during_the_outage_and_ends_after_it(story: Story) -> None:
    assert "HoldfastStoreDown" in story.during
    assert "HoldfastLedgerDown" not in story.during
    wait_until(lambda: "HoldfastStoreDown" not in story.prometheus.firing(), "it is resolved", seconds=PATIENCE)


def test_prometheus_sees_that_nothing_is_unaccounted_for(story: Story) -> None:
    assert story.prometheus.value("max_over_time(holdfast:unaccounted:operations[5m])") == 0
    assert story.prometheus.value("max(holdfast_operations_held_total) >= 201") is not None
    assert not story.during & {"HoldfastUnaccounted", "HoldfastLedgerLost", "HoldfastOperationsMissing"}


def test_what_is_scraped_is_pushed_too_where_the_environment_asks_for_it(story: Story, receiver: Receiver) -> None:
    for program in PROGRAMS:
        wait_until(lambda p=program: receiver.services[f"holdfast-{p}"], f"{program} pushes")
        pushed = set(receiver.services[f"holdfast-{program}"])
        assert {"holdfast_build_info", "process_cpu_seconds", "holdfast_call_duration_seconds"} <= pushed
    api = receiver.services["holdfast-api"]
    wait_until(lambda: api["holdfast_operations_held"].sum.data_points[0].as_double >= 202, "the last count comes")


def test_whatever_is_named_in_dashboards_rules_and_pages_is_told_by_the_stack(story: Story) -> None:
    recorded = set(re.findall(r"record: (\S+)", (ROOT / "deploy/prometheus/rules/recording.yml").read_text()))
    known = recorded | {
        name for text in story.texts.values() for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    }
    sources = [*DASHBOARDS, *(ROOT / "deploy/prometheus").rglob("*.yml"), *(ROOT / "docs").rglob("*.md")]
    strange = {
        (str(source.relative_to(ROOT)), name)
        for source in sources
        for name in named(source.read_text(encoding="utf-8"))
        if name not in known and re.sub("_(bucket|count|sum)$", "", name) not in known
    }
    assert not strange


def named(text: str) -> set[str]:
    """What looks like a metric of ours or of the process; a page may name databases too, which end otherwise."""
    recorded = r"holdfast:[a-z0-9_]+:(?:rate5m|ratio5m|p99_5m|p95_5m|operations)"
    ends = "total|seconds|bucket|count|sum|operations|mailboxes|bytes|info|state|known|children|flight|waiting|max|fds"
    ours = (
        rf"\b(?:{recorded}|(?:holdfast|http_server|db_client_connection|process|python_gc)_(?:[a-z_]+_)?(?:{ends}))\b"
    )
    return set(re.findall(ours, text)) - {"db_client_connection_state"}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_prometheus_understands_each_question_of_a_dashboard(story: Story, dashboard: Path) -> None:
    panels = json.loads(dashboard.read_text())["panels"]
    questions = [target["expr"].replace("$__rate_interval", "1m") for panel in panels for target in panel["targets"]]
    answered = [bool(story.prometheus.query(question)) for question in questions]
    assert any(answered)
