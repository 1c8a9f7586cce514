"""All programs started while a server is away: they come up, do what they can, and all of it once it is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cli.stack.handle import Stack
from tests.support.http import Client, is_alive, problem, until_the_ledger_is_back, until_the_store_is_back
from tests.support.processes import wait_until

PROGRAMS = ("api", "worker", "sweeper")


def all_stopped(stack: Stack) -> None:
    for name in PROGRAMS:
        stack.stop(name)


@contextmanager
def starting(stack: Stack, names: Iterable[str]) -> Iterator[None]:
    """They are started, and must be ready at the end of this."""
    with ThreadPoolExecutor() as pool:
        started = [pool.submit(stack.start, name) for name in names]
        yield
        for each in started:
            each.result()


def test_started_without_its_store_it_holds_writes_and_drains_them_later(stack: Stack, api: Client) -> None:
    api.replace("known", {"n": 1})
    all_stopped(stack)
    stack.kill("store")
    for name in PROGRAMS:
        stack.start(name)
    held = [api.replace("known", {"n": 2}), api.replace("new", {"n": 3}), api.create({"n": 4})]
    assert {answer.status_code for answer in held} == {202}
    read = api.get("known")
    assert (read.json()["data"], "cache-status" in read.headers) == ({"n": 1}, True)
    assert problem(api.get("new")) == "/problems/unavailable"
    stack.start("store")
    assert [job["state"] for job in api.all_settled(held)] == ["succeeded"] * 3
    assert sorted((record["data"]["n"], record["version"]) for record in api.records()) == [(2, 2), (3, 1), (4, 1)]


def test_started_without_ledger_and_broker_it_writes_to_the_store_and_holds_once_they_are_there(
    stack: Stack, api: Client
) -> None:
    all_stopped(stack)
    stack.kill("ledger")
    for name in ("api", "sweeper"):
        stack.start(name)
    assert api.replace("one", {"n": 1}).status_code == 201
    assert api.merge("one", {"m": 2}).status_code == 200
    with starting(stack, ["worker"]):
        wait_until(lambda: stack.processes()["worker"]["state"] == "starting", "the worker looks for its broker")
        stack.start("ledger")
    until_the_ledger_is_back(api)
    stack.kill("store")
    held = api.merge("one", {"k": 3})
    assert held.status_code == 202
    stack.start("store")
    assert api.settled(held)["state"] == "succeeded"
    until_the_store_is_back(api)
    assert api.get("one").json()["data"] == {"n": 1, "m": 2, "k": 3}


def test_started_without_any_server_it_refuses_and_works_once_they_are_there(stack: Stack, api: Client) -> None:
    all_stopped(stack)
    for name in ("store", "ledger", "cache"):
        stack.kill(name)
    with starting(stack, PROGRAMS):
        wait_until(lambda: is_alive(api), "the API answers")
        refused = api.create({"n": 1})
        assert (refused.status_code, problem(refused)) == (503, "/problems/unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert api.http.get("/readyz").status_code == 503
        for name in ("cache", "ledger", "store"):
            stack.start(name)
    until_the_store_is_back(api)
    until_the_ledger_is_back(api)
    assert list(api.records()) == []
    assert api.create({"n": 2}).status_code == 201
    held = api.create({"n": 3}, prefer="respond-async")
    assert api.settled(held)["state"] == "succeeded"
