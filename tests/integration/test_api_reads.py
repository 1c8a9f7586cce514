"""Reads over HTTP: from the store, or from the cache with a word on it."""

from __future__ import annotations

import pytest

from holdfast.testing.faults import broken, refused
from tests.support.service import Exchange, service

ORDER = "/v1/records/orders/1"


async def test_a_read_says_the_version_and_that_it_must_be_asked_again() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"a": 1})
        answer = await s.http.get(ORDER)
        assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
        assert answer.headers["cache-control"] == "no-cache"
        assert not {"age", "cache-status", "holdfast-pending"} & set(answer.headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-none-match": '"1"'}, 304),
        ({"if-none-match": 'W/"1"'}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"2"'}, 200),
        ({"if-none-match": '"x"'}, 200),
        ({"if-match": '"1"'}, 200),
        ({"if-match": '"2"'}, 412),
        ({"if-match": 'W/"1"'}, 412),
        ({"if-match": '"1"', "if-none-match": '"1"'}, 304),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_read_may_be_conditional(method: str, headers: dict[str, str], status: int) -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"a": 1})
        answer = await s.http.request(method, ORDER, headers=headers)
        assert answer.status_code == status
        if status == 304:
            assert answer.content == b""
            assert answer.headers["etag"] == '"1"'
            assert "content-length" not in answer.headers


async def test_a_condition_on_what_is_not_there_is_a_404() -> None:
    async with service() as s:
        assert (await s.http.get(ORDER, headers={"if-match": "*"})).status_code == 404


async def test_head_is_get_without_the_body() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"a": 1})
        for path in (ORDER, "/v1/records/orders", "/v1/records/orders/2", "/v1/jobs", "/health", "/livez"):
            get, head = await s.http.get(path), await s.http.head(path)
            exchange = Exchange(s.app, "HEAD", path)
            assert (head.status_code, await exchange.start()) == (get.status_code, get.status_code)
            assert await exchange.piece() is None
            assert set(head.headers) == set(get.headers)
            if path != "/health":
                assert head.headers["content-length"] == str(len(get.content))


async def test_without_a_store_a_read_comes_from_the_cache_and_says_how_old_it_is() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"a": 1})
        await s.world.refresher.join()
        s.take_the_store_away()
        s.world.clock.advance(12.7)
        answer = await s.http.get(ORDER)
        assert (answer.status_code, answer.json()["data"], answer.headers["etag"]) == (200, {"a": 1}, '"1"')
        assert answer.headers["age"] == "12"
        assert answer.headers["cache-status"] == "holdfast; hit; detail=store-unavailable"
        unchanged = await s.http.get(ORDER, headers={"if-none-match": '"1"'})
        assert (unchanged.status_code, unchanged.headers["age"]) == (304, "12")


async def test_the_cache_knows_of_a_delete_too() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"a": 1})
        await s.http.delete(ORDER)
        await s.world.refresher.join()
        s.take_the_store_away()
        answer = await s.http.get(ORDER)
        assert (answer.status_code, "cache-status" in answer.headers) == (404, True)


async def test_what_neither_store_nor_cache_knows_is_a_503() -> None:
    async with service() as s:
        s.take_the_store_away()
        answer = await s.http.get(ORDER)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert "retry-after" in answer.headers


async def test_a_record_with_held_operations_says_so_and_can_be_seen_with_them() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"a": 1})
        await s.world.refresher.join()
        s.take_the_store_away()
        await s.http.patch(ORDER, json={"b": 2}, headers={"content-type": "application/json"})
        last = (await s.http.patch(ORDER, json={"a": None})).json()["id"]
        plain = await s.http.get(ORDER)
        assert (plain.json()["data"], plain.headers["holdfast-pending"]) == ({"a": 1}, last)
        foreseen = await s.http.get(ORDER, params={"pending": "apply"}, headers={"if-none-match": '"1", "2", "3"'})
        assert (foreseen.status_code, foreseen.json()["data"]) == (200, {"b": 2})
        assert foreseen.headers["holdfast-pending"] == last
        assert "etag" not in foreseen.headers


async def test_without_the_ledger_a_read_says_that_nobody_knows_what_is_held() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"a": 1})
        s.world.ledger.down = refused
        found, unchanged = await s.http.get(ORDER), await s.http.get(ORDER, headers={"if-none-match": '"1"'})
        assert (found.status_code, found.json()["data"], unchanged.status_code) == (200, {"a": 1}, 304)
        missing = await s.http.get("/v1/records/orders/2")
        assert missing.status_code == 404
        assert {each.headers["holdfast-pending"] for each in (found, unchanged, missing)} == {"unknown"}


async def test_a_record_that_is_about_to_exist_is_a_404_that_names_the_job() -> None:
    async with service() as s:
        held = await s.http.put(ORDER, json={"a": 1}, headers={"prefer": "respond-async"})
        answer = await s.http.get(ORDER)
        assert (answer.status_code, answer.headers["holdfast-pending"]) == (404, held.json()["id"])
        foreseen = await s.http.get(ORDER, params={"pending": "apply"})
        assert (foreseen.status_code, foreseen.json()["data"]) == (200, {"a": 1})


async def test_with_nothing_pending_the_record_as_it_will_be_is_the_record_as_it_is() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"a": 1})
        assert (await s.http.get(ORDER, params={"pending": "apply"})).headers["etag"] == '"1"'


async def test_a_read_does_without_ledger_and_cache() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={"a": 1})
        s.world.ledger.down = s.world.cache.down = refused
        assert (await s.http.get(ORDER)).json()["data"] == {"a": 1}


async def test_pages_follow_each_other_by_their_links_and_miss_nothing() -> None:
    async with service() as s:
        ids = sorted(["a", "b c".replace(" ", "_"), "z", "é", "🍵", "1", "10", "2"])
        for id_ in ids:
            await s.http.put(f"/v1/records/orders/{id_}", json={"id": id_})
        await s.http.put("/v1/records/other/x", json={})
        seen: list[str] = []
        path = "/v1/records/orders?limit=3"
        while path:
            answer = await s.http.get(path)
            page = answer.json()
            seen += [item["id"] for item in page["items"]]
            path = answer.headers["link"].split(">")[0].removeprefix("<") if page["next_cursor"] else ""
            assert ("link" in answer.headers) is (page["next_cursor"] is not None)
        assert seen == ids


async def test_a_page_that_is_just_full_is_the_last() -> None:
    async with service(page_size=2) as s:
        for id_ in "ab":
            await s.http.put(f"/v1/records/orders/{id_}", json={})
        page = (await s.http.get("/v1/records/orders")).json()
        assert ([item["id"] for item in page["items"]], page["next_cursor"]) == (["a", "b"], None)
        assert (await s.http.get("/v1/records/nothing")).json() == {"items": [], "next_cursor": None}


async def test_pages_come_from_the_store_only() -> None:
    async with service() as s:
        s.take_the_store_away()
        assert (await s.http.get("/v1/records/orders")).status_code == 503


async def test_a_bug_in_a_read_is_a_500_with_an_incident() -> None:
    async with service() as s:
        s.world.store.next("read", broken(KeyError("a bug")))
        answer = await s.http.get(ORDER)
        assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-error")
