"""Health, metrics and administration over HTTP."""

from __future__ import annotations

import pytest

from holdfast.testing.faults import broken, refused
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
        assert "refused by the test" in cache["output"]
        [store] = degraded.json()["checks"]["store:responseTime"]
        assert (store["status"], store["breaker"], store["observedUnit"]) == ("warn", "isolated", "ms")
        s.world.store.down = refused
        assert (await s.http.get("/health")).json()["status"] == "warn"
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
        assert stats["requests"]["by_route"]["records"]["count"] == 4
        assert stats["requests"]["response_time"]["p99"] > 0
        assert (stats["backlog"]["waiting"], stats["backlog"]["mailboxes"]) == (3, 3)
        assert stats["backlog"]["oldest_at"] == "2023-11-14T22:13:20.000Z"
        assert [each["name"] for each in stats["breakers"]] == ["store", "ledger", "cache"]


async def test_stats_do_without_the_ledger() -> None:
    async with service() as s:
        s.world.ledger.down = refused
        assert (await s.http.get("/admin/stats")).json()["backlog"] is None


async def test_metrics_are_prometheus_text() -> None:
    async with service() as s:
        await s.http.put(ORDER, json={})
        answer = await s.http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        labels = 'method="PUT",route="records",status="201"'
        assert f"holdfast_http_request_duration_seconds_count{{{labels}}} 1.0" in answer.text
        assert 'holdfast_breaker_state{breaker="store"} 0.0' in answer.text


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
