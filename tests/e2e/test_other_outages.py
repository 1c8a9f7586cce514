"""Every other part lost, alone and together with the store: each costs only what it alone can give."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

import httpx
import pytest
import redis

from cli.stack.handle import Stack
from tests.support.http import Client, at_once, problem, repeated, until_the_ledger_is_back, until_the_store_is_back
from tests.support.processes import wait_until


def held_for(api: Client, count: int) -> list[httpx.Response]:
    """Writes during an outage of the store: two for each record, the second on top of the first."""
    first = at_once([partial(api.replace, f"r{n}", {"n": n}) for n in range(count // 2)])
    held = first + at_once([partial(api.merge, f"r{n}", {"second": True}) for n in range(count // 2)])
    assert {answer.status_code for answer in held} == {202}
    return held


def all_have_taken_effect(api: Client, held: list[httpx.Response]) -> None:
    wait_until(lambda: api.backlog() == 0, "all is drained", seconds=120)
    states = Counter(job["state"] for job in at_once([partial(api.job, answer) for answer in held]))
    assert states == {"succeeded": len(held)}
    records = list(api.records())
    assert len(records) == len(held) // 2
    assert all(record["data"] == {"n": int(record["id"][1:]), "second": True} for record in records)
    assert {record["version"] for record in records} == {2}, "once each"


# Servers


def test_without_the_ledger_writes_and_reads_go_straight_to_the_store(stack: Stack, api: Client) -> None:
    known = api.replace("known", {"n": 1})
    stack.kill("ledger")
    assert api.replace("known", {"n": 2}).status_code == 200
    assert api.merge("known", {"m": 3}, if_match='"2"').status_code == 200
    made = api.create({"n": 4}, idempotency_key=api.path)
    assert made.status_code == 201
    assert api.create({"n": 4}, idempotency_key=api.path).json() == made.json()
    assert problem(api.replace("known", {"n": 5}, if_match=known.headers["etag"])) == "/problems/precondition-failed"
    assert api.get("known").json()["data"] == {"n": 2, "m": 3}
    assert api.delete("known").status_code == 204
    assert [record["data"] for record in api.records()] == [{"n": 4}]
    assert api.http.get("/readyz").status_code == 200
    assert problem(api.http.get("/v1/jobs")) == "/problems/unavailable"


def test_without_the_ledger_a_resource_with_a_backlog_is_refused_and_others_are_not(stack: Stack, api: Client) -> None:
    stack.kill("store")
    held = api.replace("waiting", {"n": 1})
    for name in ("sweeper", "worker", "ledger"):
        stack.kill(name)
    stack.start("store")
    until_the_store_is_back(api)
    assert api.replace("other", {}).status_code == 201
    refused = api.replace("waiting", {"n": 2})
    assert (refused.status_code, problem(refused)) == (503, "/problems/unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    for name in ("ledger", "worker", "sweeper"):
        stack.start(name)
    wait_until(lambda: api.http.get(held.headers["location"]).status_code == 200, "the ledger is asked again")
    assert api.settled(held)["state"] == "succeeded"
    assert api.stored("waiting")["data"] == {"n": 1}


def test_without_store_and_ledger_writes_are_refused_and_leave_nothing_behind(stack: Stack, api: Client) -> None:
    api.replace("one", {"n": 1})
    for name in ("store", "ledger"):
        stack.kill(name)
    for _ in range(5):
        for refused in (
            api.create({}),
            api.create({}, idempotency_key=api.path),
            api.replace("one", {"n": 2}),
            api.merge("one", {"n": 3}),
            api.delete("one"),
        ):
            assert refused.status_code == 503
            assert problem(refused) in ("/problems/unavailable", "/problems/outcome-unknown")
            assert int(refused.headers["retry-after"]) >= 1
    assert api.http.get("/readyz").status_code == 503
    assert api.http.get("/livez").status_code == 200
    assert repeated(lambda: api.get("one")).json()["data"] == {"n": 1}, "the cache is still there"
    for name in ("ledger", "store"):
        stack.start(name)
    until_the_store_is_back(api)
    until_the_ledger_is_back(api)
    assert repeated(lambda: api.create({}, idempotency_key=api.path)).status_code == 201
    assert api.backlog() == 0
    assert sorted((record["data"].get("n", 0), record["version"]) for record in api.records()) == [(0, 1), (1, 1)]


def test_without_the_cache_all_but_cached_reads_works(stack: Stack, api: Client) -> None:
    stack.kill("cache")
    assert api.replace("one", {"n": 1}).status_code == 201
    assert api.merge("one", {"n": 2}).status_code == 200
    assert api.get("one").json()["data"] == {"n": 2}
    stack.kill("store")
    held = api.merge("one", {"n": 3})
    assert held.status_code == 202
    unread = api.get("one")
    assert (unread.status_code, problem(unread)) == (503, "/problems/unavailable")
    assert int(unread.headers["retry-after"]) >= 1
    stack.start("store")
    assert api.settled(held)["result"]["record"]["version"] == 3
    assert api.stored("one")["data"] == {"n": 3}


# Programs


def test_a_worker_killed_in_the_middle_of_its_replay_leaves_nothing_undone_or_done_twice(
    stack: Stack, api: Client, points: Path
) -> None:
    stack.kill("store")
    held = held_for(api, 1000)
    stack.kill("sweeper")  # which replays too, and leaves the worker nothing to be caught with
    (points / "settle.before").write_text("pause 3")
    stack.start("store")
    wait_until((points / "settle.before.passed").exists, "the worker stands, with operations it has applied")
    stack.kill("worker")
    until_the_store_is_back(api)
    settled, effects = 1000 - api.backlog(), sum(record["version"] for record in api.records())
    assert 0 < settled < effects, "some have taken effect and are not settled"
    (points / "settle.before.passed").unlink()
    for name in ("worker", "sweeper"):
        stack.start(name)
    all_have_taken_effect(api, held)


def test_an_api_killed_under_load_costs_its_clients_a_repeat_and_no_second_effect(stack: Stack, api: Client) -> None:
    over = Event()

    def write(client: int) -> list[httpx.Response]:
        answers: list[httpx.Response] = []
        while not over.is_set():
            name = f"{client}-{len(answers)}"
            answers.append(repeated(partial(api.create, {"name": name}, idempotency_key=f"{api.path}-{name}")))
        return answers

    def more_than(count: int) -> bool:
        return len(list(api.records())) > count

    with ThreadPoolExecutor(16) as pool:
        writers = [pool.submit(write, client) for client in range(16)]
        try:
            for _ in range(2):
                before = len(list(api.records()))
                wait_until(partial(more_than, before + 50), "writes flow")
                stack.kill("api")
                stack.start("api")
        finally:
            over.set()
    answers = [writer.result() for writer in writers]
    assert {answer.status_code for each in answers for answer in each} <= {201, 202}
    api.all_settled([answer for each in answers for answer in each if answer.status_code == 202])
    written = [f"{client}-{n}" for client, each in enumerate(answers) for n in range(len(each))]
    assert Counter(record["data"]["name"] for record in api.records()) == Counter(written)


def test_messages_of_a_broker_emptied_by_hand_are_not_missed(stack: Stack, api: Client) -> None:
    stack.kill("store")
    held = held_for(api, 200)
    stack.kill("worker")
    stack.start("store")
    with redis.Redis.from_url(stack.url("broker")) as broker:
        wait_until(lambda: broker.llen("holdfast"), "the workers are rung for")
        broker.flushdb()
    stack.start("worker")
    all_have_taken_effect(api, held)


def test_without_the_sweeper_the_api_has_the_workers_rung_for(stack: Stack, api: Client) -> None:
    stack.kill("sweeper")
    stack.kill("store")
    held = held_for(api, 200)
    stack.start("store")
    all_have_taken_effect(api, held)
    assert stack.processes()["sweeper"]["state"] == "down"


def test_without_the_worker_the_sweeper_replays(stack: Stack, api: Client) -> None:
    stack.kill("worker")
    stack.kill("store")
    held = held_for(api, 200)
    stack.start("store")
    all_have_taken_effect(api, held)
    assert stack.processes()["worker"]["state"] == "down"


def test_what_is_held_while_worker_and_sweeper_are_down_waits_for_them(stack: Stack, api: Client) -> None:
    for name in ("sweeper", "worker", "store"):
        stack.kill(name)
    held = held_for(api, 200)
    stack.start("store")
    until_the_store_is_back(api)
    assert api.replace("other", {}).status_code == 201
    assert api.backlog() == 200
    assert api.delete("other").status_code == 204
    for name in ("worker", "sweeper"):
        stack.start(name)
    all_have_taken_effect(api, held)


@pytest.mark.parametrize("name", ["ledger", "api"])
def test_what_is_held_survives_the_loss_of_what_holds_it(stack: Stack, api: Client, name: str) -> None:
    stack.kill("store")
    held = held_for(api, 40)
    stack.kill(name)
    stack.start(name)
    stack.start("store")
    wait_until(lambda: api.http.get(held[0].headers["location"]).status_code == 200, "the ledger is asked again")
    all_have_taken_effect(api, held)
