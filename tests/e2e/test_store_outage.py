"""The store killed or frozen: writes are held, reads come from the cache, then all takes effect once and in order."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median
from threading import Event

import httpx
import pytest

from cli.stack.handle import Stack
from tests.support.http import Client, at_once, problem, repeated, until_the_store_is_back
from tests.support.processes import wait_until

pytestmark = pytest.mark.freezes_the_store

# Seconds: of a call to the store, as in conftest, and as psycopg waits for a frozen server to cancel it.
DEADLINE = 3.0
CANCEL = 10.0


def lose(stack: Stack, name: str, how: str) -> None:
    stack.kill(name) if how == "killed" else stack.freeze(name)


def bring_back(stack: Stack, name: str, how: str) -> None:
    stack.start(name) if how == "killed" else stack.thaw(name)


def succeeded(job: dict[str, object]) -> bool:
    return job["state"] == "succeeded" and job["attempts"] == 0


@pytest.mark.every_store
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_writes_are_held_within_their_deadline_and_then_take_effect_once_and_in_order(
    stack: Stack, api: Client, how: str
) -> None:
    for record in range(4):
        assert api.replace(f"r{record}", {"n": 0}).status_code == 201
    lose(stack, "store", how)
    held, took = list[httpx.Response](), list[float]()
    for n in range(1, 6):
        for record in range(4):
            began = time.monotonic()
            held.append(api.merge(f"r{record}", {"n": n, f"n{n}": True}))
            took.append(time.monotonic() - began)
    assert median(took) < DEADLINE, "whatever goes behind a held one does not ask the store"
    assert max(took) < DEADLINE + CANCEL, "and nobody waits for the end of what was given up"
    assert {answer.status_code for answer in held} == {202}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in held)
    assert {answer.json()["state"] for answer in held} == {"queued"}
    bring_back(stack, "store", how)
    jobs = api.all_settled(held)
    assert all(map(succeeded, jobs))
    versions = [job["result"]["record"]["version"] for job in jobs]
    assert versions == [1 + n for n in range(1, 6) for _ in range(4)], "in the order of each record"
    for stored in api.records():
        assert (stored["version"], stored["data"]) == (6, {"n": 5, **{f"n{n}": True for n in range(1, 6)}})


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_reads_come_from_the_cache_and_say_so(stack: Stack, api: Client, how: str) -> None:
    direct = api.replace("one", {"n": 1})
    lose(stack, "store", how)
    read = repeated(lambda: api.get("one"))  # the cache is told of it soon, not at once
    assert (read.status_code, read.json(), read.headers["etag"]) == (200, direct.json(), '"1"')
    assert read.headers["cache-status"] == "holdfast; hit; detail=store-unavailable"
    assert int(read.headers["age"]) >= 0
    assert "holdfast-pending" not in read.headers
    assert api.get("one", if_none_match='"1"').status_code == 304

    held = api.merge("one", {"m": 2})
    pending = api.get("one")
    assert pending.json() == direct.json()
    assert pending.headers["holdfast-pending"] == held.headers["location"].rpartition("/")[2]
    foreseen = api.get("one", "?pending=apply").json()
    assert (foreseen["version"], foreseen["data"]) == (2, {"n": 1, "m": 2})

    for unknown in (api.get("unknown"), api.http.get(api.path)):
        assert (unknown.status_code, problem(unknown)) == (503, "/problems/unavailable")
        assert int(unknown.headers["retry-after"]) >= 1

    bring_back(stack, "store", how)
    api.settled(held)
    until_the_store_is_back(api)
    fresh = api.get("one")
    assert fresh.json()["data"] == {"n": 1, "m": 2}
    assert not {"age", "holdfast-pending"} & set(fresh.headers)


def test_a_record_that_is_made_during_the_outage_can_be_seen_as_it_will_be(stack: Stack, api: Client) -> None:
    stack.kill("store")
    held = api.create({"n": 1})
    id_ = held.json()["resource"].rpartition("/")[2]
    assert api.get(id_, "?pending=apply").json()["data"] == {"n": 1}
    assert api.get(id_).status_code == 503, "what it is now, neither the store nor the cache can say"


def test_a_deleted_record_is_not_found_while_the_store_is_away(stack: Stack, api: Client) -> None:
    api.replace("one", {})
    assert api.delete("one").status_code == 204
    stack.kill("store")
    wait_until(lambda: api.get("one").status_code == 404, "the cache is told of it")
    gone = api.get("one")
    assert (gone.status_code, problem(gone)) == (404, "/problems/not-found")
    assert "cache-status" in gone.headers


def test_it_says_how_it_is_and_stays_ready(stack: Stack, api: Client) -> None:
    stack.kill("store")
    assert api.create({}).status_code == 202
    assert api.http.get("/livez").status_code == api.http.get("/readyz").status_code == 200
    health = api.http.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "warn")
    states = {name: check[0]["status"] for name, check in health.json()["checks"].items()}
    assert [name for name, state in states.items() if state != "pass"] == ["store:responseTime"]


def test_a_live_write_goes_behind_the_held_ones(stack: Stack, api: Client) -> None:
    api.replace("one", {"n": 0})
    stack.kill("store")
    held = [api.replace("one", {"n": n}) for n in range(1, 4)]
    for name in ("sweeper", "worker"):
        stack.kill(name)
    stack.start("store")
    until_the_store_is_back(api)
    assert api.replace("another", {}).status_code == 201
    assert api.get("one").json()["version"] == 1
    live = [api.replace("one", {"n": 4}), api.merge("one", {"m": 5})]
    assert [answer.status_code for answer in live] == [202, 202]
    for name in ("worker", "sweeper"):
        stack.start(name)
    jobs = api.all_settled(held + live)
    assert all(map(succeeded, jobs))
    assert [job["result"]["record"]["version"] for job in jobs] == [2, 3, 4, 5, 6]
    assert api.stored("one")["data"] == {"n": 4, "m": 5}


@pytest.mark.every_store
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_write_that_is_in_flight_when_the_store_is_lost_has_one_effect(stack: Stack, api: Client, how: str) -> None:
    """Each write merges a field of its own into one of four records: versions count effects, fields show lost ones."""
    for record in range(4):
        api.replace(f"r{record}", {})
    over = Event()

    def write(client: int) -> list[httpx.Response]:
        answers: list[httpx.Response] = []
        while not over.is_set():
            name = f"c{client}-{len(answers)}"
            call = partial(api.merge, f"r{client % 4}", {name: True}, idempotency_key=f"{api.path}-{name}")
            answers.append(repeated(call))
        return answers

    with ThreadPoolExecutor(16) as pool:
        writers = [pool.submit(write, client) for client in range(16)]
        try:
            wait_until(lambda: api.get("r0").json()["version"] > 20, "writes flow")
            lose(stack, "store", how)
            wait_until(lambda: api.backlog() >= 32, "writes are held")
            bring_back(stack, "store", how)
            wait_until(lambda: api.create({}).status_code == 201, "writes flow again")
        finally:
            over.set()
    answers = [answer for writer in writers for answer in writer.result()]
    assert {answer.status_code for answer in answers} == {200, 202}
    assert all(map(succeeded, api.all_settled([answer for answer in answers if answer.status_code == 202])))
    records = [api.stored(f"r{record}") for record in range(4)]
    assert sum(record["version"] - 1 for record in records) == len(answers), "each has one effect"
    assert sum(len(record["data"]) for record in records) == len(answers), "none is lost"


def test_two_thousand_writes_of_an_outage_take_effect_once_each(stack: Stack, api: Client) -> None:
    stack.kill("store")
    held = at_once([partial(api.create, {"n": n}) for n in range(2000)])
    assert Counter(answer.status_code for answer in held) == {202: 2000}
    assert api.backlog() == 2000
    stack.start("store")
    wait_until(lambda: api.backlog() == 0, "all is drained", seconds=120)
    assert Counter(api.job(answer)["state"] for answer in held[::50]) == {"succeeded": 40}
    records = list(api.records())
    assert Counter(record["data"]["n"] for record in records) == Counter(range(2000))
    assert {record["version"] for record in records} == {1}


# A definite "no"


@pytest.mark.parametrize("store", ["up", "down"])
def test_a_bad_body_is_never_held(stack: Stack, api: Client, store: str) -> None:
    if store == "down":
        stack.kill("store")
    headers = {"content-type": "application/json"}
    for body in (b"{", b"[]", rb'{"a":"\u0000"}', b'{"a":1e400}'):
        refused = api.http.post(api.path, content=body, headers=headers)
        assert (refused.status_code, problem(refused)) == (400, "/problems/invalid-request")
    assert api.backlog() == 0


def test_what_the_store_would_refuse_is_refused_at_once_while_it_is_up(api: Client) -> None:
    api.replace("one", {"n": 1})
    assert problem(api.merge("absent", {"n": 1})) == "/problems/not-found"
    assert problem(api.delete("absent")) == "/problems/not-found"
    assert problem(api.replace("one", {"n": 2}, if_match='"9"')) == "/problems/precondition-failed"
    assert problem(api.replace("one", {"n": 2}, if_none_match="*")) == "/problems/precondition-failed"


def test_the_same_found_at_replay_fails_the_job_with_the_same_problem(stack: Stack, api: Client) -> None:
    api.replace("one", {"n": 1})
    stack.kill("store")
    held = [
        api.replace("one", {"n": 2}, if_match='"1"'),
        api.replace("one", {"n": 3}, if_match='"1"'),
        api.replace("one", {"n": 4}, if_none_match="*"),
        api.merge("absent", {"n": 1}),
        api.delete("absent"),
    ]
    assert {answer.status_code for answer in held} == {202}
    stack.start("store")
    jobs = api.all_settled(held)
    assert [job["state"] for job in jobs] == ["succeeded", "failed", "failed", "failed", "failed"]
    problems = [(job["result"]["status"], job["result"]["problem"]["type"]) for job in jobs[1:]]
    assert problems == [(412, "/problems/precondition-failed")] * 2 + [(404, "/problems/not-found")] * 2
    assert [(record["id"], record["data"], record["version"]) for record in api.records()] == [("one", {"n": 2}, 2)]
