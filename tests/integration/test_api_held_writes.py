"""Writes over HTTP that are held: the job, the wait for it, and what becomes of a repeat."""

from __future__ import annotations

import asyncio

from holdfast.operations.model import Resource
from tests.support.engine import pass_time
from tests.support.service import Exchange, service

ORDER = "/v1/records/orders/1"


async def test_without_a_store_a_write_is_held_and_the_answer_is_its_job() -> None:
    async with service() as s:
        s.take_the_store_away()
        answer = await s.http.put(ORDER, json={"a": 1})
        assert answer.status_code == 202
        assert int(answer.headers["retry-after"]) >= 1
        held = answer.json()
        assert answer.headers["location"] == f"/v1/jobs/{held['id']}"
        assert (held["state"], held["resource"], held["kind"], held["result"]) == (
            "queued",
            "orders/1",
            "replace",
            None,
        )
        assert (await s.http.get(answer.headers["location"])).json() == held
        assert await s.world.record(Resource("orders", "1")) is None
        assert await s.bring_the_store_back() == 1
        assert (await s.http.get(ORDER)).json()["data"] == {"a": 1}
        assert (await s.http.get(answer.headers["location"])).json()["result"]["status"] == 201


async def test_a_repeat_of_a_held_write_finds_its_job_and_later_its_outcome() -> None:
    async with service() as s:
        key = {"idempotency-key": "k-1"}
        s.take_the_store_away()
        first = await s.http.put(ORDER, json={"a": 1}, headers=key)
        again = await s.http.put(ORDER, json={"a": 1}, headers=key)
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        assert (await s.http.put(ORDER, json={"a": 2}, headers=key)).status_code == 422
        await s.bring_the_store_back()
        last = await s.http.put(ORDER, json={"a": 1}, headers=key)
        assert (last.status_code, last.headers["idempotent-replayed"], last.json()["version"]) == (201, "true", 1)


async def test_a_repeat_of_a_cancelled_write_is_told_so() -> None:
    async with service() as s:
        key = {"idempotency-key": "k-1"}
        held = await s.http.put(ORDER, json={"a": 1}, headers=key | {"prefer": "respond-async"})
        assert (await s.http.delete(held.headers["location"])).status_code == 200
        again = await s.http.put(ORDER, json={"a": 1}, headers=key)
        assert (again.status_code, again.json()["type"]) == (409, "/problems/operation-cancelled")


async def test_prefer_respond_async_holds_at_once_and_says_that_it_did() -> None:
    async with service() as s:
        answer = await s.http.put(ORDER, json={"a": 1}, headers={"prefer": "respond-async"})
        assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
        assert "apply" not in s.world.store.calls


async def test_prefer_wait_answers_with_the_outcome_when_it_comes_in_time() -> None:
    async with service() as s:
        s.take_the_store_away()
        writing = asyncio.ensure_future(s.http.put(ORDER, json={"a": 1}, headers={"prefer": "wait=30"}))
        while s.waiting.taken == 0:
            await asyncio.sleep(0)
        await s.bring_the_store_back()
        while not writing.done():
            await pass_time(s.world, 0.1)
        answer = await writing
        assert (answer.status_code, answer.headers["preference-applied"]) == (201, "wait=30")
        assert answer.json()["data"] == {"a": 1}
        assert s.waiting.taken == 0


async def test_prefer_wait_answers_with_the_refusal_when_it_comes_in_time() -> None:
    async with service() as s:
        s.take_the_store_away()
        writing = asyncio.ensure_future(s.http.delete(ORDER, headers={"prefer": "wait=30"}))
        while s.waiting.taken == 0:
            await asyncio.sleep(0)
        await s.bring_the_store_back()
        while not writing.done():
            await pass_time(s.world, 0.1)
        answer = await writing
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
        assert answer.headers["preference-applied"] == "wait=30"


async def test_prefer_wait_ends_with_the_job_when_its_time_is_up() -> None:
    async with service() as s:
        s.take_the_store_away()
        writing = asyncio.ensure_future(s.http.put(ORDER, json={"a": 1}, headers={"prefer": "wait=2"}))
        began = s.world.clock.monotonic()
        while not writing.done():
            await pass_time(s.world, 0.1)
        assert 2.0 <= s.world.clock.monotonic() - began < 3.0
        assert (await writing).status_code == 202


async def test_a_write_that_waits_leaves_its_place_to_others() -> None:
    async with service(max_requests=1) as s:
        s.take_the_store_away()
        waiting = asyncio.ensure_future(s.http.put(ORDER, json={"a": 1}, headers={"prefer": "wait=30"}))
        while s.waiting.taken == 0:
            await asyncio.sleep(0)
        assert (await s.http.put("/v1/records/orders/2", json={})).status_code == 202
        unwaited = await s.http.put("/v1/records/orders/3", json={}, headers={"prefer": "wait=30"})
        assert unwaited.status_code == 202
        s.waiting.stop()
        assert (await waiting).status_code == 202


async def test_a_client_that_leaves_while_it_waits_is_waited_for_no_longer() -> None:
    async with service() as s:
        s.take_the_store_away()
        exchange = Exchange(s.app, "DELETE", ORDER, {"prefer": "wait=60"})
        while s.waiting.taken == 0:
            await asyncio.sleep(0)
        exchange.leave()
        await exchange.done
        assert s.waiting.taken == 0


async def test_a_live_write_is_held_behind_those_that_wait_for_its_record() -> None:
    async with service() as s:
        s.take_the_store_away()
        await s.http.put(ORDER, json={"n": 1})
        s.world.store.down = None
        while not await s.world.store_guard.ready():
            s.world.clock.advance(1.0)
        assert (await s.http.put(ORDER, json={"n": 2})).status_code == 202
        assert (await s.http.put("/v1/records/orders/2", json={})).status_code == 201
        await s.bring_the_store_back()
        assert (await s.http.get(ORDER)).json()["data"] == {"n": 2}


async def test_what_is_refused_at_replay_is_the_same_problem_in_the_job() -> None:
    async with service() as s:
        s.take_the_store_away()
        held = await s.http.put(ORDER, json={}, headers={"if-match": '"9"'})
        assert held.status_code == 202
        await s.bring_the_store_back()
        job = (await s.http.get(held.headers["location"])).json()
        direct = await s.http.put(ORDER, json={}, headers={"if-match": '"9"'})
        assert job["state"] == "failed"
        assert job["result"] == {"status": 412, "problem": direct.json()}
