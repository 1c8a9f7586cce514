"""Health, metrics and administration over HTTP."""

from __future__ import annotations

import pytest

from holdfast.testing.faults import broken, refused
from tests.support.scrapes import values
from tests.support.service import service

ORDER = "/v1/records/orders/1"


async def test_alive_is_alive_whatever_is_away() -> None:
    async with service() as s:
        s.world.store.down = s.world.ledger.down = s.world.cache.down = refused
        answer = await s.http.get("/livez")
        assert (answer.status_code, answer.json()) == (200, {"status": "pass"})
        assert answer.headers["content-type"] == "application/health+json"


async def test_ready_means_that_a_write_can_be_accepted_by_some_path() -> None:
    async with service() as s:
        assert (await s.http.get("/readyz")).status_code == 200
        s.world.store.down = refused
        assert (await s.http.get("/readyz")).status_code == 200
        s.world.store.down, s.world.ledger.down = None, refused
        assert (await s.http.get("/readyz")).status_code == 200
        s.world.store.down = refused
        answer = await s.http.get("/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "fail"})


async def test_a_process_that_is_about_to_end_is_not_ready() -> None:
    async with service() as s:
        s.waiting.stop()
        assert (await s.http.get("/readyz")).status_code == 503
        assert (await s.http.get("/livez")).status_code == 200


async def test_health_tells_of_each_dependency_and_its_breaker() -> None:
    async with service() as s:
        well = await s.http.get("/health")
        assert (well.status_code, well.json()["status"]) == (200, "pass")
        assert set(well.json()["checks"]) == {"store:responseTime", "ledger:responseTime", "cache:responseTime"}
        s.world.cache.down = refused
        s.world.store_guard.breaker.isolate()
        degraded = await s.http.get("/health")
        assert (degraded.status_code, degraded.json()["status"]) == (200, "warn")
        [cache] = degraded.json()["checks"]["cache:responseTime"]
        assert (cache["status"], cache["breaker"]) == ("fail", "closed")
        assert cache["output"] == "the cache cannot be used now"
        [store] = degraded.json()["checks"]["store:responseTime"]
        assert (store["status"], store["breaker"], store["observedUnit"]) == ("warn", "isolated", "ms")
        s.world.store.down = refused
        assert (await s.http.put(ORDER, json={})).status_code == 202
        without = (await s.http.get("/health")).json()
        assert (without["status"], without["backlog"]["waiting"]) == ("warn", 1)
        assert without["backlog"] == (await s.http.get("/admin/stats")).json()["backlog"]
        s.world.ledger.down = refused
        failing = await s.http.get("/health")
        assert (failing.status_code, failing.json()["status"]) == (503, "fail")


async def test_stats_count_what_was_asked_and_answered() -> None:
    async with service() as s:
        for n in range(3):
            await s.http.put(f"/v1/records/orders/{n}", json={}, headers={"prefer": "respond-async"})
        s.world.store.next("read", broken(RuntimeError("a bug")))
        await s.http.get(ORDER)
        stats = (await s.http.get("/admin/stats")).json()
        assert (stats["requests"]["count"], stats["requests"]["success_rate"]) == (4, 0.75)
        assert stats["requests"]["by_route"]["/v1/records/{collection}/{id}"]["count"] == 4
        assert stats["requests"]["response_time"]["p99"] > 0
        assert (stats["backlog"]["waiting"], stats["backlog"]["mailboxes"]) == (3, 3)
        assert stats["backlog"]["oldest_at"] == "2023-11-14T22:13:20.000Z"
        assert [each["name"] for each in stats["breakers"]] == ["store", "ledger", "cache"]


async def test_stats_do_without_the_ledger() -> None:
    async with service() as s:
        s.world.ledger.down = refused
        stats = (await s.http.get("/admin/stats")).json()
        assert (stats["backlog"], stats["operations"]) == (None, None)


async def test_stats_say_what_became_of_all_that_was_held() -> None:
    async with service() as s:
        s.take_the_store_away()
        jobs = [(await s.http.put(f"/v1/records/orders/{n}", json={})).headers["location"] for n in range(4)]
        assert (await s.http.delete(jobs[0])).status_code == 200
        s.world.clock.advance(4)
        await s.bring_the_store_back()
        await s.http.put("/v1/records/orders/9", json={}, headers={"prefer": "respond-async"})
        stats = (await s.http.get("/admin/stats")).json()
        operations, backlog = stats["operations"], stats["backlog"]
        assert (operations["held"], operations["succeeded"], operations["cancelled"]) == (5, 3, 1)
        assert operations["failed"] + operations["superseded"] == 0
        assert backlog["waiting"] == 1
        assert 4 <= operations["replay_time"]["mean"] <= operations["replay_time"]["p50"]


async def test_metrics_are_prometheus_text() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={})
        answer = await s.http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert 'holdfast_breaker_state{breaker="store"} 0.0' in answer.text


async def test_requests_are_counted_by_the_template_of_their_route() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={})
        await s.http.get(ORDER)
        await s.http.head(ORDER)
        await s.http.get("/v1/records/orders")
        await s.http.get("/v1/jobs/0197f3a2-c4d8-7b1e-9a65-54c1d2e3f405")
        await s.http.post("/admin/breakers/nobody", json={"action": "reset"})
        for path in ("/nowhere/at/all", "/v1/nothing", "/v1/records/orders/1/2"):
            await s.http.get(path)
        found = values((await s.http.get("/metrics")).text)
        name, one = "http_server_request_duration_seconds_count", "/v1/records/{collection}/{id}"
        assert {key[1:]: value for key, value in found.items() if key[0] == name} == {
            ("PUT", "201", one): 1,
            ("GET", "200", one): 1,
            ("HEAD", "200", one): 1,
            ("GET", "400", one): 1,
            ("GET", "200", "/v1/records/{collection}"): 1,
            ("GET", "404", "/v1/jobs/{id}"): 1,
            ("POST", "404", "/admin/breakers/{name}"): 1,
            ("GET", "404", "other"): 2,
        }


async def test_problems_are_counted_by_their_type() -> None:
    async with service(max_requests=1) as s:
        s.world.store.down = s.world.ledger.down = refused
        await s.http.put(ORDER, json={})
        await s.http.put(ORDER, content=b"[]", headers={"content-type": "application/json"})
        await s.http.get("/v1/jobs/no-job")
        found = values((await s.http.get("/metrics")).text)
        problems = {key[1]: value for key, value in found.items() if key[0] == "holdfast_http_problems_total"}
        assert problems == {"unavailable": 1, "invalid-request": 1, "not-found": 1}


async def test_a_breaker_can_be_isolated_released_and_reset() -> None:
    async with service() as s:

        async def act(action: str) -> str:
            answer = await s.http.post("/admin/breakers/store", json={"action": action})
            assert answer.status_code == 200
            state: str = answer.json()["state"]
            return state

        assert await act("isolate") == "isolated"
        assert (await s.http.put(ORDER, json={})).status_code == 202
        assert await act("release") == "half_open"
        assert await act("reset") == "closed"
        assert (await s.http.put("/v1/records/orders/2", json={})).status_code == 201
        [store, *_] = (await s.http.get("/admin/breakers")).json()["items"]
        assert (store["name"], store["state"], store["reason"]) == ("store", "closed", "reset")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"action":"open"}', 400),
        ('{"action":["reset"]}', 400),
        ('{"action":"reset","more":1}', 400),
        ("{}", 400),
        ("[]", 400),
        ("", 400),
        ("{", 400),
        ('{"action":"' + "x" * 2000 + '"}', 413),
    ],
)
async def test_an_action_that_is_none_changes_nothing(body: str, status: int) -> None:
    async with service() as s:
        s.world.store_guard.breaker.isolate()
        headers = {"content-type": "application/json"}
        answer = await s.http.post("/admin/breakers/store", content=body, headers=headers)
        assert answer.status_code == status
        assert s.world.store_guard.breaker.state == "isolated"


async def test_an_unknown_breaker_is_a_404_that_names_the_known_ones() -> None:
    async with service() as s:
        answer = await s.http.post("/admin/breakers/nothing", json={"action": "reset"})
        assert answer.status_code == 404
        assert "store, ledger, cache" in answer.json()["detail"]


async def test_the_type_of_a_problem_leads_to_its_page() -> None:
    async with service() as s:
        problem = (await s.http.get(ORDER)).json()
        page = await s.http.get(problem["type"])
        assert page.headers["content-type"] == "text/markdown; charset=utf-8"
        assert page.text.startswith(f"# {problem['title']}\n")
        assert "What to do" in page.text
        assert (await s.http.get("/problems/..%2Fhttp")).status_code == 404
        assert (await s.http.get("/problems/nothing")).json()["type"] == "/problems/not-found"


async def test_the_documentation_is_served() -> None:
    async with service() as s:
        assert "openapi.json" in (await s.http.get("/docs")).text
        document = (await s.http.get("/openapi.json")).json()
        assert {"/v1/records/{collection}", "/v1/jobs/{id}", "/health"} <= set(document["paths"])
