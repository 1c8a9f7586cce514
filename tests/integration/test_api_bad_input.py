"""Bad input over HTTP: a clear 4xx each, with its place, and never a 5xx or a 202."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.support.service import JSON, Exchange, service

ORDER = "/v1/records/orders/1"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", "#"),
        (b"{", "#"),
        (b'"text"', "#"),
        (b'{"a":"\xff"}', "#"),
        (rb'{"a":["\u0000"]}', "#/a/0"),
        (rb'{"\u0000":1}', "#/\0"),
        (b'{"a":1e400}', "#/a"),
        (b'{"a":18446744073709551616}', "#/a"),
        (b'{"a":1,"a":2}', "#/a"),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, "#"),
    ],
)
@pytest.mark.parametrize("store_is_up", [True, False])
async def test_a_bad_body_is_refused_by_its_place_and_never_held(body: bytes, pointer: str, store_is_up: bool) -> None:
    async with service() as s:
        if not store_is_up:
            s.take_the_store_away()
        for method in ("PUT", "PATCH"):
            answer = await s.http.request(method, ORDER, content=body, headers=JSON)
            assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-request")
            assert answer.json()["errors"][0]["pointer"] == pointer
        assert "hold" not in s.world.ledger.calls


@pytest.mark.parametrize("id_", ["a%2Fb", "a%20b", "%00", "x" * 256, "x" * 1000, "%FF", "%", "e%CC%81", "%2E%2E", ""])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_bad_id_is_refused(method: str, id_: str) -> None:
    async with service() as s:
        answer = await s.http.request(method, f"/v1/records/orders/{id_}", content=b"{}", headers=JSON)
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "id")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("If-Match", "3"),
        ("If-None-Match", '"3'),
        ("Prefer", "wait=soon"),
        ("Idempotency-Key", '"open'),
        ("Idempotency-Key", "x" * 300),
        ("Idempotency-Key", "ключ"),
    ],
)
async def test_a_bad_header_is_refused_by_name(name: str, value: str) -> None:
    async with service() as s:
        headers = {**JSON, name: value.encode()}
        answer = await s.http.put(ORDER, content=b"{}", headers=headers)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["errors"][0]["header"]) == (400, name)
        assert (await s.http.get(ORDER)).status_code == 404


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("GET", f"{ORDER}?pendign=apply", "pendign"),
        ("GET", f"{ORDER}?pending=yes", "pending"),
        ("PUT", f"{ORDER}?x=1", "x"),
        ("POST", "/v1/records/orders?limit=1", "limit"),
        ("GET", "/v1/records/orders?limit=0", "limit"),
        ("GET", "/v1/records/orders?limit=1001", "limit"),
        ("GET", "/v1/records/orders?cursor=x", "cursor"),
        ("GET", "/v1/records/orders?limit=1&limit=2", "limit"),
    ],
)
async def test_a_parameter_that_is_unknown_or_makes_no_sense_is_refused_by_name(
    method: str, target: str, name: str
) -> None:
    async with service() as s:
        answer = await s.http.request(method, target, content=b"{}", headers=JSON)
        assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (400, name)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/v1/records/orders", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/records/orders", {}, 415),
        ("PUT", ORDER, {"content-type": "application/merge-patch+json"}, 415),
        ("PATCH", ORDER, {"content-type": "application/json-patch+json"}, 415),
        ("PUT", ORDER, {"content-type": "application/json", "content-encoding": "gzip"}, 415),
        ("PUT", "/v1/records/orders", JSON, 405),
        ("POST", ORDER, JSON, 405),
        ("PATCH", "/v1/records/orders", JSON, 405),
        ("POST", "/v1/jobs", JSON, 405),
        ("PUT", "/health", JSON, 405),
        ("POST", "/v1/records", JSON, 404),
        ("GET", "/", {}, 404),
        ("GET", "/v1/record/orders/1", {}, 404),
    ],
)
async def test_what_is_not_offered_is_refused_as_a_problem(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async with service() as s:
        answer = await s.http.request(method, path, content=b"{}", headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"
        assert ("allow" in answer.headers) is (status == 405)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/records/orders", "GET, HEAD, OPTIONS, POST"),
        (ORDER, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/v1/jobs/x", "DELETE, GET, HEAD, OPTIONS"),
        ("/v1/jobs/x/retry", "OPTIONS, POST"),
        ("/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_every_path_says_what_it_offers_and_offers_it(path: str, allowed: str) -> None:
    async with service() as s:
        answer = await s.http.options(path)
        assert (answer.status_code, answer.content, answer.headers["allow"]) == (204, b"", allowed)
        assert (await s.http.request("TRACE", path)).headers["allow"] == allowed
        for method in allowed.split(", "):
            assert (await s.http.request(method, path)).status_code != 405


async def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_not() -> None:
    async with service(max_body=100) as s:
        at_the_limit = b'{"a":"' + b"x" * 92 + b'"}'
        assert (await s.http.put(ORDER, content=at_the_limit, headers=JSON)).status_code == 201
        answer = await s.http.put(ORDER, content=at_the_limit + b" ", headers=JSON)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/content-too-large")

        async def parts() -> Any:
            for _ in range(20):
                yield b" " * 10

        assert (await s.http.put(ORDER, content=parts(), headers=JSON)).status_code == 413


async def test_limits_are_settings() -> None:
    async with service(max_id_length=3, max_depth=2, page_size=1, max_page_size=2) as s:
        assert (await s.http.put("/v1/records/orders/abc", json={"a": {}})).status_code == 201
        assert (await s.http.put("/v1/records/orders/abcd", json={})).status_code == 400
        assert (await s.http.put("/v1/records/orders/abc", json={"a": {"b": {}}})).status_code == 400
        assert (await s.http.get("/v1/records/orders?limit=3")).status_code == 400


@pytest.mark.parametrize(("method", "path"), [("PUT", ORDER), ("POST", "/admin/breakers/store")])
async def test_a_client_that_leaves_before_its_request_is_whole_is_no_fault_of_anyone(
    method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with service(max_requests=1) as s:
        exchange = Exchange(s.app, method, path, JSON, whole=False)
        exchange.leave()
        await exchange.done
        assert [line for line in caplog.records if line.levelno >= logging.WARNING] == []
        assert (await s.http.put(ORDER, json={})).status_code == 201
