"""Jobs over HTTP: polled, waited for, followed, cancelled, listed, retried."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from holdfast.operations.replay import ReplayOptions
from holdfast.testing.faults import broken, hung, refused
from tests.support.engine import World, pass_time
from tests.support.service import Exchange, Service, service

ORDER = "/v1/records/orders/1"
UNKNOWN = "/v1/jobs/00000000-0000-7000-8000-000000000000"


async def hold(s: Service, path: str = ORDER, **headers: str) -> str:
    """A write that is held; the path of its job."""
    answer = await s.http.put(path, json={"a": 1}, headers={"prefer": "respond-async", **headers})
    assert answer.status_code == 202
    location: str = answer.headers["location"]
    return location


async def killed(s: Service, path: str = ORDER) -> str:
    """The path of a job that is dead: its operation has failed by its own fault."""
    job = await hold(s, path)
    s.world.store.next("apply", broken(ValueError("it cannot be done")))
    await s.world.replayer.replay()
    assert (await s.http.get(job)).json()["state"] == "dead"
    return job


def fragile() -> World:
    """A world in which one failure is the end of an operation."""
    return World(replay=ReplayOptions(max_attempts=1))


async def test_a_job_that_waits_says_when_to_ask_again_and_a_settled_one_does_not() -> None:
    async with service() as s:
        job = await hold(s)
        answer = await s.http.get(job)
        assert (answer.status_code, answer.json()["state"], answer.headers["retry-after"]) == (200, "queued", "1")
        assert answer.headers["cache-control"] == "no-store"
        await s.world.replayer.replay()
        settled = await s.http.get(job)
        assert (settled.json()["state"], settled.json()["next_attempt_at"]) == ("succeeded", None)
        assert settled.json()["result"]["record"] == (await s.http.get(ORDER)).json()
        assert "retry-after" not in settled.headers


@pytest.mark.parametrize("path", [UNKNOWN, "/v1/jobs/x", "/v1/jobs/%00", "/v1/jobs/" + "x" * 1000])
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
async def test_an_unknown_job_is_a_404(method: str, path: str) -> None:
    async with service() as s:
        answer = await s.http.request(method, path + "/retry" * (method == "POST"))
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


async def test_a_long_poll_is_answered_when_the_job_is_settled() -> None:
    async with service() as s:
        job = await hold(s)
        polling = asyncio.ensure_future(s.http.get(job, params={"wait": 30}))
        while s.waiting.taken == 0:
            await asyncio.sleep(0)
        await pass_time(s.world, 5.0)
        assert not polling.done()
        await s.world.replayer.replay()
        while not polling.done():
            await pass_time(s.world, 0.1)
        assert (await polling).json()["state"] == "succeeded"
        assert s.waiting.taken == 0


async def test_a_long_poll_is_answered_with_the_job_as_it_is_when_its_time_is_up() -> None:
    async with service() as s:
        polling = asyncio.ensure_future(s.http.get(await hold(s), params={"wait": 1.5}))
        began = s.world.clock.monotonic()
        while not polling.done():
            await pass_time(s.world, 0.1)
        assert 1.5 <= s.world.clock.monotonic() - began < 2.5
        assert ((await polling).status_code, (await polling).json()["state"]) == (200, "queued")


async def test_no_more_wait_than_may_and_the_others_are_answered_at_once() -> None:
    async with service(max_requests=1) as s:
        job = await hold(s)
        first = asyncio.ensure_future(s.http.get(job, params={"wait": 60}))
        while s.waiting.taken == 0:
            await asyncio.sleep(0)
        assert (await s.http.get(job, params={"wait": 60})).json()["state"] == "queued"
        stream = await s.http.get(job, headers={"accept": "text/event-stream"})
        assert (stream.status_code, stream.json()["type"]) == (503, "/problems/overloaded")
        assert not first.done()
        s.waiting.stop()
        assert (await first).json()["state"] == "queued"


async def test_a_client_that_leaves_its_long_poll_leaves_its_place() -> None:
    async with service() as s:
        exchange = Exchange(s.app, "GET", await hold(s) + "?wait=60")
        while s.waiting.taken == 0:
            await asyncio.sleep(0)
        exchange.leave()
        await exchange.done
        assert s.waiting.taken == 0


@pytest.mark.parametrize("query", ["wait=61", "wait=-1", "wait=x", "wait=nan", "wait=inf", "wiat=1", "wait="])
async def test_a_wait_that_makes_no_sense_is_refused_by_name(query: str) -> None:
    async with service() as s:
        answer = await s.http.get(f"{await hold(s)}?{query}")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


async def test_a_stream_tells_of_every_change_and_ends_when_the_job_is_settled() -> None:
    async with service() as s:
        exchange = Exchange(s.app, "GET", await hold(s), {"accept": "text/event-stream"})
        assert await exchange.start() == 200
        assert await exchange.piece() == b"retry: 2000\n\n"
        assert event(await exchange.piece())["state"] == "queued"
        await s.world.replayer.replay()
        telling = asyncio.ensure_future(exchange.piece())
        while not telling.done():
            await pass_time(s.world, 0.1)
        assert event(await telling)["state"] == "succeeded"
        assert await exchange.piece() is None
        await exchange.done
        assert s.waiting.taken == 0


def event(piece: bytes | None) -> dict[str, Any]:
    assert piece is not None
    [data] = [line for line in piece.decode().splitlines() if line.startswith("data: ")]
    job: dict[str, Any] = json.loads(data.removeprefix("data: "))
    return job


async def test_a_client_that_leaves_its_stream_leaves_its_place() -> None:
    async with service() as s:
        exchange = Exchange(s.app, "GET", await hold(s), {"accept": "text/event-stream"})
        assert await exchange.start() == 200
        assert s.waiting.taken == 1
        exchange.leave()
        await exchange.done
        assert s.waiting.taken == 0


async def test_who_comes_back_to_a_stream_that_has_ended_is_told_not_to() -> None:
    async with service() as s:
        job = await hold(s)
        await s.world.replayer.replay()
        stream = await s.http.get(job, headers={"accept": "text/event-stream"})
        assert stream.headers["content-type"].startswith("text/event-stream")
        [last] = [line.removeprefix("id: ") for line in stream.text.splitlines() if line.startswith("id: ")]
        back = await s.http.get(job, headers={"accept": "text/event-stream", "last-event-id": last})
        assert (back.status_code, back.content) == (204, b"")


async def test_a_stream_of_no_job_is_a_404() -> None:
    async with service() as s:
        assert (await s.http.get(UNKNOWN, headers={"accept": "text/event-stream"})).status_code == 404


async def test_a_waiting_operation_can_be_cancelled_and_never_takes_effect() -> None:
    async with service() as s:
        job = await hold(s)
        answer = await s.http.delete(job)
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        assert (await s.http.delete(job)).status_code == 200
        await s.world.replayer.replay()
        assert (await s.http.get(ORDER)).status_code == 404


async def test_a_settled_operation_cannot_be_cancelled() -> None:
    async with service() as s:
        job = await hold(s)
        await s.world.replayer.replay()
        answer = await s.http.delete(job)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-cancellable")
        assert "succeeded" in answer.json()["detail"]


async def test_an_operation_that_may_have_happened_is_cancelled_when_the_store_says_that_it_did_not() -> None:
    async with service() as s:
        s.world.store.next("apply", hung)
        writing = asyncio.ensure_future(s.http.put(ORDER, json={}))
        while not writing.done():
            await pass_time(s.world, 0.25)
        held = await writing
        assert held.status_code == 202
        s.world.store.down = refused
        unknown = await s.http.delete(held.headers["location"])
        assert (unknown.status_code, unknown.json()["type"]) == (409, "/problems/not-cancellable")
        s.world.store.mend()
        assert (await s.http.delete(held.headers["location"])).json()["state"] == "cancelled"


async def test_a_dead_operation_is_listed_and_can_be_retried() -> None:
    async with service(fragile()) as s:
        job = await killed(s)
        await hold(s, "/v1/records/orders/2")
        listed = (await s.http.get("/v1/jobs", params={"state": "dead"})).json()
        assert [f"/v1/jobs/{each['id']}" for each in listed["items"]] == [job]
        assert listed["items"][0]["last_error"] == "ValueError; the log says more"
        answer = await s.http.post(f"{job}/retry")
        assert (answer.status_code, answer.json()["state"], answer.json()["attempts"]) == (200, "retrying", 0)
        await s.world.replayer.replay()
        assert (await s.http.get(ORDER)).status_code == 200


async def test_a_repeat_of_a_dead_write_finds_its_dead_job() -> None:
    async with service(fragile()) as s:
        job = await hold(s, **{"idempotency-key": "k"})
        s.world.store.next("apply", broken(ValueError("it cannot be done")))
        await s.world.replayer.replay()
        again = await s.http.put(ORDER, json={"a": 1}, headers={"idempotency-key": "k"})
        assert (again.status_code, again.headers["location"], again.json()["state"]) == (202, job, "dead")
        assert "retry-after" not in again.headers


async def test_only_a_dead_operation_can_be_retried() -> None:
    async with service() as s:
        job = await hold(s)
        assert (await s.http.post(f"{job}/retry")).json()["state"] == "queued"
        await s.world.replayer.replay()
        answer = await s.http.post(f"{job}/retry")
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-retriable")


async def test_all_jobs_are_listed_in_pages() -> None:
    async with service() as s:
        made = {await hold(s, f"/v1/records/orders/{n}") for n in range(7)}
        seen: list[str] = []
        query: dict[str, Any] = {"limit": 3}
        while True:
            page = (await s.http.get("/v1/jobs", params=query)).json()
            seen += [f"/v1/jobs/{each['id']}" for each in page["items"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        assert (len(seen), set(seen)) == (7, made)


@pytest.mark.parametrize("query", ["state=gone", "limit=0", "limit=1001", "cursor=@@", "page=2", "limit=x"])
async def test_a_list_that_makes_no_sense_is_refused_by_name(query: str) -> None:
    async with service() as s:
        answer = await s.http.get(f"/v1/jobs?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (400, query.partition("=")[0])


async def test_without_a_ledger_nothing_is_known_of_jobs() -> None:
    async with service() as s:
        job = await hold(s)
        s.world.ledger.down = refused
        for answer in (
            await s.http.get(job),
            await s.http.get(job, params={"wait": 1}),
            await s.http.get(job, headers={"accept": "text/event-stream"}),
            await s.http.get("/v1/jobs"),
            await s.http.delete(job),
            await s.http.post(f"{job}/retry"),
        ):
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
            assert "retry-after" in answer.headers
