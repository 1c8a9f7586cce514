"""What the real processes tell: one write's trace through an outage, and never a word of what is secret."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest
from opentelemetry._logs import SeverityNumber

from tests.support.collector import Collector, running_collector
from tests.support.http import Client, until_the_ledger_is_back, until_the_store_is_back
from tests.support.processes import free_port, wait_until
from tests.support.workers import Program, Site, running_site

SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
ERROR = 2

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALLERS_TRACE, CALLERS_SPAN = CALLER.split("-")[1:3]

# In the middle of each, so that a part of it is found as well.
PASSWORD, PAYLOAD, KEY = (f"{name}-{secrets.token_hex(8)}" for name in ("password", "payload", "key"))

# What an application may add to its tables: the server's error shows the row that it did not take.
TROUBLE = """
ALTER TABLE records ADD CONSTRAINT short CHECK (length(data::text) < 400);
CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF NEW.data ? 'fault' THEN
    RAISE EXCEPTION 'not today' USING ERRCODE = 'ZZ001', DETAIL = NEW.data::text;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER complain BEFORE INSERT OR UPDATE ON records FOR EACH ROW EXECUTE FUNCTION complain();
"""


@dataclass
class Running:
    """collector: of all that the programs send."""

    site: Site
    collector: Collector
    url: str
    programs: list[Program]

    def logs(self) -> str:
        return "".join(program.log() for program in self.programs)

    def lines(self) -> list[dict[str, Any]]:
        """Those of the API that are whole."""
        return [json.loads(line) for line in self.programs[0].log().splitlines(keepends=True) if line.endswith("\n")]

    def accesses(self) -> list[dict[str, Any]]:
        """A line for each request that was answered."""
        return [line for line in self.lines() if line["logger"] == "api.access_log"]

    def client(self) -> Client:
        return Client(self.url, f"things-{secrets.token_hex(4)}")


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """API, worker and sweeper that tell everything, and whose URLs all hold a password. No server asks for it."""
    port = free_port()
    settings = {
        "api_port": port,
        "log_level": "debug",
        "log_format": "json",
        "access_log": "on",
        "store_timeout": 5,
        "ledger_timeout": 5,
        "broker_timeout": 10,
        "write_patience": 20,
        "max_attempts": 1,
        "dead_policy": "pass",
        "workers_silent_after": 600,
    }
    with running_collector() as collector, running_site(**settings) as site:
        site.settings |= {name: _with_password(value) for name, value in site.settings.items() if "://" in value}
        site.settings |= collector.variables
        programs = [site.start("api"), *(site.start(name).until_ready() for name in ("worker", "worker.sweeper"))]
        url = f"http://127.0.0.1:{port}"
        wait_until(partial(_answers, url), f"the API answers\n{programs[0].log()}")
        with psycopg.connect(site.postgres.url, autocommit=True) as connection:
            connection.execute(TROUBLE)
        yield Running(site, collector, url, programs)


def _with_password(url: str) -> str:
    return re.sub(r"://(?:[^/@]*@)?", f"://{'postgres' if url.startswith('postgres') else 'default'}:{PASSWORD}@", url)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_one_trace_leads_from_the_request_through_an_outage_to_its_replay(running: Running) -> None:
    collector = running.collector
    with running.client() as api:
        running.site.postgres.kill()
        held = api.replace("one", {"n": 1}, traceparent=CALLER)
        running.site.postgres.start()
        job = api.settled(held)
    assert job["state"] == "succeeded"

    asked = collector.one("PUT /v1/records/{collection}/{id}", operation_id=job["id"])
    assert (asked.trace, asked.parent) == (CALLERS_TRACE, CALLERS_SPAN)
    assert (asked.kind, asked.service) == (SERVER, "holdfast-api")
    assert asked.attributes["http.response.status_code"] == 202
    assert asked.attributes["holdfast.outcome"] == "held"

    replay = collector.one("replay", operation_id=job["id"], outcome="applied")
    assert (replay.trace, replay.parent) == asked.place
    assert (replay.kind, replay.service) == (CONSUMER, "holdfast-worker")
    assert replay.attributes["messaging.message.id"] == job["id"]
    assert replay.began > asked.ended

    within = [span for span in collector.spans() if (span.trace, span.parent) == asked.place]
    assert {"gate", "hold", "replay"} <= {span.name for span in within}
    hold = next(span for span in within if span.name == "hold")
    assert (hold.kind, hold.attributes["messaging.operation.type"]) == (PRODUCER, "send")


def test_the_doorbell_leads_to_the_batch_of_the_replay_and_to_the_store(running: Running) -> None:
    collector = running.collector
    with running.client() as api:
        running.site.postgres.kill()
        held = [api.replace(f"r{n}", {"n": n}) for n in range(2)]
        running.site.postgres.start()
        jobs = api.all_settled(held)
    asked = [collector.one("PUT /v1/records/{collection}/{id}", operation_id=job["id"]) for job in jobs]
    replays = [collector.one("replay", operation_id=job["id"], outcome="applied") for job in jobs]
    (settled,) = replays[0].links
    settle = collector.at(*settled)
    assert set(asked[0].links) >= {span.place for span in collector.spans("hold") if span.trace == asked[0].trace}

    run = collector.at(settle.trace, settle.parent)
    ring = collector.at(run.trace, run.parent)
    assert (run.name, run.kind, run.service) == ("run/holdfast.replay", CONSUMER, "holdfast-worker")
    assert (ring.name, ring.kind) == ("ring", PRODUCER)
    assert ring.service in ("holdfast-sweeper", "holdfast-api")

    beneath = [span for span in collector.spans() if (span.trace, span.parent) == run.place and not span.status]
    assert {"lease", "apply", "settle"} <= {span.name for span in beneath}
    (apply,) = (span for span in beneath if span.name == "apply" and asked[0].place in span.links)
    assert apply.attributes["db.system.name"] == "postgresql"
    assert asked[0].place in settle.links


def test_lines_tell_the_trace_and_the_operation(running: Running) -> None:
    with running.client() as api:
        until_the_store_is_back(api)
        broken = api.replace("two", {"fault": "yes"}, traceparent=CALLER)
    assert broken.status_code == 500
    incident = broken.json()["incident"]
    wait_until(lambda: incident in running.logs(), "the incident is logged")
    (told,) = (line for line in running.lines() if incident in line["message"])
    assert told["trace_id"] == CALLERS_TRACE
    asked = running.collector.at(told["trace_id"], told["span_id"])
    assert told["operation_id"] == asked.attributes["holdfast.operation.id"]
    assert (asked.status, asked.attributes["http.response.status_code"]) == (ERROR, 500)


def test_a_line_is_sent_as_it_is_written_and_leads_to_its_span(running: Running) -> None:
    with running.client() as api:
        until_the_store_is_back(api)
        broken = api.replace("three", {"fault": "yes"}, traceparent=CALLER)
    sent = running.collector.line(broken.json()["incident"])
    asked = running.collector.at(*sent.place)
    assert (sent.severity, sent.number, sent.service) == ("ERROR", SeverityNumber.ERROR.value, "holdfast-api")
    assert sent.attributes["holdfast.operation.id"] == asked.attributes["holdfast.operation.id"]
    assert sent.attributes["exception.stacktrace"].endswith("psycopg.DatabaseError: not today"), "the row stays out"
    assert asked.began <= sent.time <= asked.ended
    assert sent.instance == asked.instance
    assert any((line["message"], line["logger"]) == (sent.text, sent.logger) for line in running.lines())


def test_a_request_has_a_line_where_that_is_asked_for(running: Running) -> None:
    with running.client() as api:
        assert api.get("nowhere").status_code == 404
    wanted = {("GET", "/v1/records/{collection}/{id}", 404), ("GET", "/readyz", 200)}
    wait_until(
        lambda: wanted <= {(line["method"], line["route"], line["status"]) for line in running.accesses()},
        "the lines of both, which are written after the answers",
    )
    assert all(0 < line["duration"] < 60 for line in running.accesses())


def test_the_line_of_an_accepted_write_leads_to_its_job_and_to_its_trace(running: Running) -> None:
    with running.client() as api:
        job = api.settled(api.replace("one", {}, prefer="respond-async"))
    asked = running.collector.one("PUT /v1/records/{collection}/{id}", operation_id=job["id"])

    def told() -> list[dict[str, Any]]:
        return [line for line in running.accesses() if line.get("operation_id") == job["id"] and line["status"] == 202]

    wait_until(told, "its line, which is written after the answer")
    (line,) = told()
    assert (line["trace_id"], line["span_id"]) == asked.place


def test_no_payload_no_key_and_no_password_gets_into_logs_or_traces(running: Running) -> None:
    secret = {"secret": PAYLOAD}
    with running.client() as api:
        every_way(api, secret)
        running.site.postgres.kill()
        held = [
            *every_way(api, secret),
            api.replace("faulty", {**secret, "fault": 1}),
            api.replace("long", long(secret)),
        ]
        running.site.valkey.freeze()
        assert api.create(secret, idempotency_key=KEY).status_code == 503
        running.site.valkey.thaw()
        running.site.broker.kill()
        running.site.postgres.start()
        running.site.broker.start()
        until_the_store_is_back(api)
        until_the_ledger_is_back(api)
        states = {job["state"] for job in api.all_settled([answer for answer in held if answer.status_code == 202])}
        assert states >= {"succeeded", "failed", "dead"}
        running.site.postgres.freeze()
        api.merge("one", secret, idempotency_key=f"{KEY}-frozen")
        running.site.postgres.thaw()
        until_the_store_is_back(api)
    sent = b"".join(running.collector.raw).decode(errors="replace")
    told = running.logs()
    assert "not today" in told, "the fault was met"
    assert "replayed" in told
    assert running.collector.lines("not today"), "and was sent"
    for name, text in (("logs", told), ("traces or lines that were sent", sent)):
        for hidden in (PASSWORD, PAYLOAD, KEY):
            assert hidden not in text, f"{hidden} is in the {name}: {around(text, hidden)}"


def every_way(api: Client, secret: dict[str, str]) -> list[httpx.Response]:
    """Good and bad requests, all with something that must not be seen."""
    fields = {"idempotency_key": f"{KEY}-{secrets.token_hex(4)}", "authorization": f"Bearer {PASSWORD}"}
    return [
        api.create(secret, **fields),
        api.create(secret, **fields),
        api.create({"other": PAYLOAD}, **fields),
        api.replace("one", secret),
        api.merge("one", secret),
        api.delete("one"),
        api.replace("nul", {PAYLOAD: f"\0{PAYLOAD}"}),
        api.replace("long", long(secret)),
        api.replace("faulty", {**secret, "fault": 1}),
        api.http.post(api.path, content=f'{{"secret": "{PAYLOAD}", ', headers={"content-type": "application/json"}),
        api.http.post(api.path, content=f'["{PAYLOAD}"]', headers={"content-type": "application/json"}),
        api.http.post(api.path, params={PAYLOAD: PAYLOAD}, json=secret),
        api.http.post(api.path, json=secret, headers={"idempotency-key": f'"{KEY}'}),
    ]


def long(secret: dict[str, str]) -> dict[str, str]:
    return {**secret, "filling": "x" * 400}


def around(text: str, hidden: str) -> str:
    at = text.index(hidden)
    return text[max(0, at - 500) : at + 200]
