"""Writes over HTTP: applied at once with their answer, or refused with nothing half-done."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.operations.batch import BatchOptions
from holdfast.operations.model import Resource
from holdfast.operations.write import WriteOptions
from holdfast.testing.faults import broken, hung, lost, refused, vanished
from tests.support.engine import World, pass_time
from tests.support.service import JSON, PATCH, Exchange, service

ORDER = "/v1/records/orders/1"


async def test_a_post_makes_a_record_under_an_id_of_the_servers_and_says_where() -> None:
    async with service() as s:
        answer = await s.http.post("/v1/records/orders", json={"item": "teapot"})
        assert answer.status_code == 201
        assert answer.headers["etag"] == '"1"'
        assert answer.headers["content-type"] == "application/json"
        made = answer.json()
        assert (made["collection"], made["version"], made["data"]) == ("orders", 1, {"item": "teapot"})
        assert made["created_at"] == made["updated_at"] == "2023-11-14T22:13:20.000Z"
        assert (await s.http.get(answer.headers["location"])).json() == made


async def test_a_put_makes_a_record_then_replaces_it() -> None:
    async with service() as s:
        first = await s.http.put(ORDER, json={"a": 1})
        assert (first.status_code, first.headers["location"], first.headers["etag"]) == (201, ORDER, '"1"')
        second = await s.http.put(ORDER, json={"b": 2})
        assert (second.status_code, second.headers["etag"], second.json()["data"]) == (200, '"2"', {"b": 2})
        assert "location" not in second.headers


@pytest.mark.parametrize(("size", "apart"), [(60, True), (10, False)])
async def test_bodies_that_are_too_large_together_go_to_the_store_one_after_the_other(size: int, apart: bool) -> None:
    world = World(write=WriteOptions(batches=BatchOptions(in_flight=1, weight=100)))
    async with service(world) as s:
        bodies = [s.http.put(f"/v1/records/orders/{n}", json={"item": "x" * size}) for n in range(6)]
        assert {answer.status_code for answer in await asyncio.gather(*bodies)} == {201}
    assert (world.store.calls.count("apply") == 6) == apart


@pytest.mark.parametrize("headers", [JSON, PATCH])
async def test_a_patch_merges(headers: dict[str, str]) -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"a": 1, "b": {"c": 1, "d": 2}})
        answer = await s.http.patch(ORDER, content='{"a":null,"b":{"c":3}}', headers=headers)
        assert (answer.status_code, answer.json()["data"]) == (200, {"b": {"c": 3, "d": 2}})


async def test_a_delete_leaves_nothing_and_versions_go_on() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={})
        answer = await s.http.delete(ORDER)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "content-type" not in answer.headers
        assert (await s.http.get(ORDER)).status_code == 404
        assert (await s.http.put(ORDER, json={})).headers["etag"] == '"3"'


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_what_is_not_there_cannot_be_changed(method: str) -> None:
    async with service() as s:
        answer = await s.http.request(method, ORDER, content=b"{}", headers=JSON)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": '"1"'}, 200),
        ({"if-match": '"7", "1"'}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"2"'}, 412),
        ({"if-match": 'W/"1"'}, 412),
        ({"if-match": '"x"'}, 412),
        ({"if-none-match": "*"}, 412),
        ({"if-none-match": '"1"'}, 412),
        ({"if-none-match": 'W/"1"'}, 412),
        ({"if-none-match": '"2"'}, 200),
        ({"if-match": '"1"', "if-none-match": '"1"'}, 412),
    ],
)
async def test_a_condition_is_held_against_the_version(headers: dict[str, str], status: int) -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"n": 1})
        answer = await s.http.put(ORDER, json={"n": 2}, headers=headers)
        assert answer.status_code == status
        assert (await s.http.get(ORDER)).json()["data"] == {"n": 2 if status == 200 else 1}
        if status == 412:
            assert answer.json()["type"] == "/problems/precondition-failed"


async def test_if_none_match_star_makes_and_never_replaces() -> None:
    async with service() as s:
        only_new = {"if-none-match": "*"}
        assert (await s.http.put(ORDER, json={"n": 1}, headers=only_new)).status_code == 201
        assert (await s.http.put(ORDER, json={"n": 2}, headers=only_new)).status_code == 412
        assert (await s.http.put("/v1/records/orders/2", json={}, headers={"if-match": "*"})).status_code == 412


async def test_a_new_record_has_no_version_to_compare() -> None:
    async with service() as s:
        answer = await s.http.post("/v1/records/orders", json={}, headers={"if-match": '"1"'})
        assert (answer.status_code, answer.json()["errors"][0]["header"]) == (400, "If-Match")


async def test_a_repeat_with_its_key_has_the_first_answer_and_no_second_effect() -> None:
    async with service() as s:
        key = {"idempotency-key": '"k-1"', **JSON}
        first = await s.http.post("/v1/records/orders", content='{"a":1,"b":2}', headers=key)
        again = await s.http.post(
            "/v1/records/orders", content='{ "b":2, "a":1 }', headers=key | {"idempotency-key": "k-1"}
        )
        assert (again.status_code, again.content) == (201, first.content)
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
        assert len((await s.http.get("/v1/records/orders")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"),
    [
        ("PUT", ORDER, '{"a":2}', {}),
        ("PUT", "/v1/records/orders/2", '{"a":1}', {}),
        ("PATCH", ORDER, '{"a":1}', {}),
        ("PUT", ORDER, '{"a":1}', {"if-match": '"1"'}),
        ("POST", "/v1/records/orders", '{"a":1}', {}),
        ("DELETE", ORDER, "", {}),
    ],
)
async def test_a_key_is_for_one_request(method: str, path: str, body: str, headers: dict[str, str]) -> None:
    async with service() as s:
        key = {"idempotency-key": "k-1", **JSON}
        await s.http.put(ORDER, content='{"a":1}', headers=key)
        answer = await s.http.request(method, path, content=body, headers=key | headers)
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")
        assert (await s.http.get(ORDER)).json()["version"] == 1


async def test_a_refusal_is_remembered_under_its_key() -> None:
    async with service() as s:
        key = {"idempotency-key": "k-1", **JSON}
        assert (await s.http.patch(ORDER, content="{}", headers=key)).status_code == 404
        await s.http.put(ORDER, json={"a": 1})
        again = await s.http.patch(ORDER, content="{}", headers=key)
        assert (again.status_code, again.headers["idempotent-replayed"]) == (404, "true")


async def test_the_same_key_at_the_same_time_has_one_effect_and_one_answer() -> None:
    async with service() as s:
        key = {"idempotency-key": "k-1"}
        answers = await asyncio.gather(
            *(s.http.post("/v1/records/orders", json={"n": 1}, headers=key) for _ in range(10))
        )
        assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
        assert len((await s.http.get("/v1/records/orders")).json()["items"]) == 1


async def test_requests_beyond_the_limit_are_refused_at_once_and_the_others_are_not() -> None:
    async with service(max_requests=2) as s:
        s.world.store.down = hung
        taken = [asyncio.ensure_future(s.http.put(f"/v1/records/orders/{n}", json={})) for n in range(2)]
        while "apply" not in s.world.store.calls:
            await asyncio.sleep(0)
        answer = await s.http.put(ORDER, json={})
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/overloaded")
        assert "retry-after" in answer.headers
        while not all(each.done() for each in taken):
            await pass_time(s.world, 0.25)
        assert [(await each).status_code for each in taken] == [202, 202]
        s.world.store.down = None
        assert (await s.http.get("/livez")).status_code == 200


async def test_with_neither_store_nor_ledger_a_write_is_refused_and_nothing_is_half_done() -> None:
    async with service() as s:
        s.world.store.down = s.world.ledger.down = refused
        answer = await s.http.put(ORDER, json={"a": 1})
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert "retry-after" in answer.headers
        s.world.store.down = s.world.ledger.down = None
        assert await s.world.record(Resource("orders", "1")) is None


@pytest.mark.parametrize("fault", [lost, vanished])
async def test_an_unsure_answer_says_so_and_a_repeat_with_the_key_is_safe(fault: object) -> None:
    async with service() as s:
        key = {"idempotency-key": "k-1"}
        s.world.store.next("apply", fault)  # type: ignore[arg-type]
        s.world.ledger.next("hold", refused)
        answer = await s.http.put(ORDER, json={"a": 1}, headers=key)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/outcome-unknown")
        assert "retry-after" in answer.headers
        again = await s.http.put(ORDER, json={"a": 1}, headers=key)
        assert (again.status_code, again.json()["version"]) == (201, 1)


async def test_with_strict_ordering_nothing_is_written_past_a_ledger_that_cannot_be_asked() -> None:
    async with service(World(write=WriteOptions(strict=True))) as s:
        s.world.ledger.down = refused
        assert (await s.http.put(ORDER, json={})).status_code == 503
    async with service() as s:
        s.world.ledger.down = refused
        assert (await s.http.put(ORDER, json={})).status_code == 201


async def test_a_bug_is_a_500_with_an_incident_and_is_never_held(caplog: pytest.LogCaptureFixture) -> None:
    async with service() as s:
        s.world.store.next("apply", broken(RuntimeError("a bug")))
        answer = await s.http.put(ORDER, json={"a": 1})
        assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-error")
        assert "hold" not in s.world.ledger.calls
        assert any(answer.json()["incident"] in line.getMessage() for line in caplog.records)


@pytest.mark.parametrize(
    ("headers", "told"), [({"idempotency-key": "k"}, "same Idempotency-Key"), ({}, "before you repeat it")]
)
async def test_a_write_that_is_cut_short_by_the_end_of_the_process_may_have_happened(
    headers: dict[str, str], told: str
) -> None:
    async with service() as s:
        s.world.store.down = hung
        exchange = Exchange(s.app, "DELETE", ORDER, headers)
        while "apply" not in s.world.store.calls:
            await asyncio.sleep(0)
        exchange.done.cancel()
        assert await exchange.start() == 503
        assert told in ((await exchange.piece()) or b"").decode()
        with pytest.raises(asyncio.CancelledError):
            await exchange.done
