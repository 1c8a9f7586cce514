"""Jobs: polled, waited for, followed, cancelled, listed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from cli.stack.handle import Stack
from tests.support.http import Client, problem
from tests.support.processes import wait_until

pytestmark = pytest.mark.freezes_the_store


@contextmanager
def waiting(api: Client, call: Any) -> Iterator[Any]:
    """A request that waits at the API while the body of this goes on; its answer by `result()`."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(call)
        wait_until(lambda: api.http.get("/admin/stats").json()["requests"]["waiting"] == 1, "the request waits")
        yield answer


def listed(api: Client, state: str) -> set[str]:
    """The ids of all jobs in this state, by pages of two."""
    found, query = set[str](), {"state": state, "limit": "2"}
    while query:
        page = api.http.get("/v1/jobs", params=query).json()
        assert {job["state"] for job in page["items"]} <= {state}
        found |= {job["id"] for job in page["items"]}
        query = query | {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
    return found


def test_a_job_tells_what_it_is_and_at_its_end_what_became_of_it(stack: Stack, api: Client) -> None:
    stack.kill("store")
    held = api.replace("one", {"n": 1})
    job = held.json()
    assert held.headers["location"] == f"/v1/jobs/{job['id']}"
    assert job["resource"] == f"{api.path.rpartition('/')[2]}/one"
    assert (job["kind"], job["state"], job["attempts"]) == ("replace", "queued", 0)
    assert (job["result"], job["settled_at"], job["last_error"]) == (None, None, None)
    polled = api.http.get(held.headers["location"])
    assert polled.json()["id"] == job["id"]
    assert int(polled.headers["retry-after"]) >= 1
    stack.start("store")
    settled = api.settled(held)
    assert (settled["state"], settled["accepted_at"]) == ("succeeded", job["accepted_at"])
    assert (settled["result"]["status"], settled["result"]["record"]["data"]) == (201, {"n": 1})
    assert settled["settled_at"] >= settled["accepted_at"]
    assert "retry-after" not in api.http.get(held.headers["location"]).headers


def test_a_poll_that_waits_is_answered_when_the_job_is_settled(stack: Stack, api: Client) -> None:
    stack.kill("store")
    held = api.create({"n": 1})
    assert api.job(held, wait=1)["settled_at"] is None, "after its time it is answered as it is"
    with waiting(api, partial(api.job, held, wait=50)) as answer:
        stack.start("store")
    assert answer.result()["state"] == "succeeded"


def test_a_job_can_be_followed_to_its_end(stack: Stack, api: Client) -> None:
    stack.kill("store")
    held = api.create({"n": 1})
    with api.http.stream("GET", held.headers["location"], headers={"accept": "text/event-stream"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        events = (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))
        assert next(events)["state"] in ("queued", "running", "retrying")
        stack.start("store")
        last = list(events)[-1]
    assert (last["state"], last["result"]["record"]["data"]) == ("succeeded", {"n": 1})


def test_a_write_can_wait_for_its_job(stack: Stack, api: Client) -> None:
    stack.kill("store")
    late = api.replace("late", {}, prefer="wait=1")
    assert (late.status_code, late.headers["preference-applied"]) == (202, "wait=1")
    with waiting(api, partial(api.replace, "one", {"n": 1}, prefer="wait=50")) as answer:
        stack.start("store")
    made = answer.result()
    assert (made.status_code, made.headers["etag"], made.json()["data"]) == (201, '"1"', {"n": 1})
    assert made.headers["preference-applied"] == "wait=50"


def test_a_write_can_be_held_at_once_by_preference(api: Client) -> None:
    held = api.replace("one", {"n": 1}, prefer="respond-async")
    assert (held.status_code, held.headers["preference-applied"]) == (202, "respond-async")
    assert api.settled(held)["result"]["status"] == 201
    assert api.get("one").json()["data"] == {"n": 1}


def test_a_waiting_operation_can_be_cancelled_and_then_never_takes_effect(stack: Stack, api: Client) -> None:
    nothing_is_tried(stack, api)
    kept, unwanted, after = (api.replace("one", {"n": n}) for n in range(3))
    cancelled = api.http.delete(unwanted.headers["location"])
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert api.http.delete(unwanted.headers["location"]).status_code == 200, "a repeat is answered the same"
    for name in ("store", "worker", "sweeper"):
        stack.start(name)
    assert api.settled(kept)["result"]["record"]["version"] == 1
    assert api.settled(after)["result"]["record"]["version"] == 2
    assert api.job(unwanted)["state"] == "cancelled"
    assert api.settled(api.merge("one", {}, prefer="respond-async"))["result"]["record"]["data"] == {"n": 2}


def test_an_operation_that_took_effect_can_not_be_cancelled(api: Client) -> None:
    held = api.create({"n": 1}, prefer="respond-async")
    api.settled(held)
    refused = api.http.delete(held.headers["location"])
    assert (refused.status_code, problem(refused)) == (409, "/problems/not-cancellable")
    assert len(list(api.records())) == 1


def test_an_operation_that_may_have_happened_can_not_be_cancelled(stack: Stack, api: Client) -> None:
    stack.freeze("store")
    unsure = api.create({"n": 1})
    the_api_gives_up_on_the_store(api)
    refused = api.http.delete(unsure.headers["location"])
    assert (refused.status_code, problem(refused)) == (409, "/problems/not-cancellable")
    stack.thaw("store")
    job = api.settled(unsure)
    assert (job["state"], job["result"]["record"]["version"]) == ("succeeded", 1)


def test_the_job_of_a_repeat_of_what_took_effect_can_not_be_cancelled(stack: Stack, api: Client) -> None:
    assert api.replace("one", {"n": 1}, idempotency_key="k").status_code == 201
    nothing_is_tried(stack, api)
    repeat = api.replace("one", {"n": 1}, idempotency_key="k")
    refused = api.http.delete(repeat.headers["location"])
    assert (repeat.status_code, refused.status_code, problem(refused)) == (202, 409, "/problems/not-cancellable")
    for name in ("store", "worker", "sweeper"):
        stack.start(name)
    assert api.settled(repeat)["result"]["record"]["version"] == 1


def test_jobs_are_listed_by_state(stack: Stack, api: Client) -> None:
    nothing_is_tried(stack, api)
    good = [api.create({"n": n}) for n in range(3)]
    bad = api.merge("absent", {})
    unwanted = api.create({})
    api.http.delete(unwanted.headers["location"])
    good_ids, bad_id, unwanted_id = {answer.json()["id"] for answer in good}, bad.json()["id"], unwanted.json()["id"]
    assert good_ids | {bad_id} <= listed(api, "queued")
    assert unwanted_id in listed(api, "cancelled")
    for name in ("store", "worker", "sweeper"):
        stack.start(name)
    for answer in (*good, bad):
        api.settled(answer)
    assert good_ids <= listed(api, "succeeded")
    assert bad_id in listed(api, "failed")
    assert not {*good_ids, bad_id, unwanted_id} & listed(api, "queued")
    assert listed(api, "dead") == set()


def test_only_a_dead_operation_can_be_retried(api: Client) -> None:
    held = api.create({}, prefer="respond-async")
    api.settled(held)
    refused = api.http.post(f"{held.headers['location']}/retry")
    assert (refused.status_code, problem(refused)) == (409, "/problems/not-retriable")


def test_a_job_that_is_not_there_is_not_found(api: Client) -> None:
    for id_ in (uuid4(), "nonsense"):
        for answer in (
            api.http.get(f"/v1/jobs/{id_}"),
            api.http.get(f"/v1/jobs/{id_}", headers={"accept": "text/event-stream"}),
            api.http.delete(f"/v1/jobs/{id_}"),
            api.http.post(f"/v1/jobs/{id_}/retry"),
        ):
            assert (answer.status_code, problem(answer)) == (404, "/problems/not-found")


def nothing_is_tried(stack: Stack, api: Client) -> None:
    """From now on what is held stays queued, and has surely not happened."""
    for name in ("worker", "sweeper", "store"):  # the sweeper replays by itself what a worker leaves alone for long
        stack.kill(name)
    the_api_gives_up_on_the_store(api)


def the_api_gives_up_on_the_store(api: Client) -> None:
    """Its breaker is open."""

    def breaker() -> str:
        assert api.create({}).status_code == 202
        return str(api.http.get("/health").json()["checks"]["store:responseTime"][0]["breaker"])

    wait_until(lambda: breaker() == "open", "the API knows that the store is away")
