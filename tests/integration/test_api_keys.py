"""Keys over HTTP: who is let in, what each may do, and whose jobs they see."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.keys_file import SECONDS_BETWEEN_LOOKS
from tests.support.keys import Fields, bearer, command, make_key
from tests.support.service import Service, service

ORDERS = "/v1/records/orders"
HELD = {"prefer": "respond-async"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def ann(file: Path) -> Fields:
    return bearer(file, "ann", "read", "write")


@pytest.fixture
def ben(file: Path) -> Fields:
    return bearer(file, "ben", "read", "write")


@pytest.fixture
def operator(file: Path) -> Fields:
    return bearer(file, "ops", "admin")


@pytest.fixture
async def keyed(file: Path, ann: Fields, ben: Fields, operator: Fields) -> AsyncIterator[Service]:
    """An API that knows the keys of all three."""
    async with service(keys_file=file) as s:
        yield s


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, the last part of the problem's type, and the challenge after its realm."""
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="holdfast"')
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem: dict[str, Any] = answer.json()
    return answer.status_code, problem["type"].rpartition("/")[2], challenge.partition(", ")[2]


async def test_who_has_a_key_writes_and_reads(keyed: Service, ann: Fields) -> None:
    made = await keyed.http.post(ORDERS, json={"a": 1}, headers=ann)
    assert made.status_code == 201
    assert (await keyed.http.get(made.headers["location"], headers=ann)).json()["data"] == {"a": 1}


@pytest.mark.parametrize("given", [{}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer"}])
async def test_who_sends_no_key_is_asked_for_one(keyed: Service, given: Fields) -> None:
    for method, path in [("PUT", f"{ORDERS}/1"), ("GET", f"{ORDERS}/1"), ("GET", "/admin/stats"), ("GET", "/nowhere")]:
        answer = await keyed.http.request(method, path, headers=given, json={})
        assert refused(answer) == (401, "unauthenticated", "")
    assert "apply" not in keyed.world.store.calls


async def test_a_key_that_is_not_known_is_told_so(keyed: Service, ann: Fields) -> None:
    for given in ("Bearer nonsense", ann["authorization"] + "x", f"{ann['authorization']}, {ann['authorization']}"):
        status, kind, challenge = refused(await keyed.http.get(ORDERS, headers={"authorization": given}))
        assert (status, kind, 'error="invalid_token"' in challenge) == (401, "unauthenticated", True)
        assert given.removeprefix("Bearer ") not in challenge


async def test_the_scheme_may_be_written_in_any_case(keyed: Service, ann: Fields) -> None:
    answer = await keyed.http.get(ORDERS, headers={"authorization": ann["authorization"].replace("Bearer", "bEARER")})
    assert answer.status_code == 200


async def test_a_key_does_what_its_scopes_say_and_no_more(keyed: Service, file: Path, operator: Fields) -> None:
    reader, writer = bearer(file, "ann", "read"), bearer(file, "ann", "write")
    keyed.world.clock.advance(SECONDS_BETWEEN_LOOKS)
    allowed = [
        ("PUT", f"{ORDERS}/1", writer),
        ("GET", f"{ORDERS}/1", reader),
        ("GET", ORDERS, reader),
        ("GET", "/health", reader),
        ("GET", "/metrics", reader),
        ("GET", "/admin/stats", operator),
        ("GET", "/v1/jobs", operator),
    ]
    for method, path, fields in allowed:
        for name, given in {"read": reader, "write": writer, "admin": operator}.items():
            answer = await keyed.http.request(method, path, headers=given, json={})
            if given is fields:
                assert answer.is_success, f"{name}: {answer.text}"
            else:
                status, kind, challenge = refused(answer)
                assert (status, kind, 'error="insufficient_scope"' in challenge) == (403, "insufficient-scope", True)
                assert 'scope="' in challenge


async def test_every_operation_of_the_document_asks_for_a_key_but_for_those_that_say_that_they_do_not(
    keyed: Service,
) -> None:
    document = (await keyed.http.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    opened = set()
    for template, item in document["paths"].items():
        for method in {"get", "put", "post", "patch", "delete"} & set(item):
            path = template.replace("{collection}", "orders").replace("{slug}", "not-found")
            answer = await keyed.http.request(method.upper(), path.replace("{id}", "1").replace("{name}", "store"))
            if item[method]["security"]:
                assert {"401", "403", "429"} <= set(item[method]["responses"])
                assert answer.status_code == 401, f"{method} {template}"
            else:
                opened.add(template)
                assert answer.status_code == 200, f"{method} {template}"
    assert opened == {"/livez", "/readyz", "/problems/{slug}"}


async def test_monitoring_may_be_left_open(file: Path, ann: Fields) -> None:
    async with service(keys_file=file, monitoring="open") as s:
        for path in ("/health", "/metrics"):
            assert (await s.http.get(path)).status_code == 200
        assert (await s.http.get("/admin/stats")).status_code == 401


async def test_a_key_for_some_collections_is_no_good_for_others(keyed: Service, file: Path) -> None:
    given = bearer(file, "shop", "read", "write", collections="shop-")
    keyed.world.clock.advance(SECONDS_BETWEEN_LOOKS)
    assert (await keyed.http.put("/v1/records/shop-orders/1", json={}, headers=given)).status_code == 201
    for method, path in [("PUT", f"{ORDERS}/1"), ("GET", f"{ORDERS}/1"), ("GET", "/v1/records/shop")]:
        assert refused(await keyed.http.request(method, path, json={}, headers=given))[:2] == (
            403,
            "insufficient-scope",
        )


async def test_a_key_that_has_expired_says_so(keyed: Service, file: Path) -> None:
    key = make_key(file, "late", "read")
    set_in_last(file, expires_at="1970-01-01T00:00:01Z")
    keyed.world.clock.advance(SECONDS_BETWEEN_LOOKS)
    status, _, challenge = refused(await keyed.http.get(ORDERS, headers={"authorization": f"Bearer {key['key']}"}))
    assert (status, 'error="invalid_token"' in challenge, "expired" in challenge) == (401, True, True)


def set_in_last(file: Path, **fields: str) -> None:
    entries = json.loads(file.read_text())
    entries["keys"][-1] |= fields
    file.write_text(json.dumps(entries))


async def test_a_revoked_key_is_refused_without_a_restart(keyed: Service, file: Path, ann: Fields) -> None:
    key = make_key(file, "eve", "read")
    given = {"authorization": f"Bearer {key['key']}"}
    keyed.world.clock.advance(SECONDS_BETWEEN_LOOKS)
    assert (await keyed.http.get(ORDERS, headers=given)).status_code == 200
    assert command("revoke", key["id"], file=file).exit_code == 0
    keyed.world.clock.advance(SECONDS_BETWEEN_LOOKS)
    assert (await keyed.http.get(ORDERS, headers=given)).status_code == 401
    assert (await keyed.http.get(ORDERS, headers=ann)).status_code == 200


async def test_one_idempotency_key_of_two_principals_is_two_operations(
    keyed: Service, ann: Fields, ben: Fields
) -> None:
    same = {"idempotency-key": "order-1"}
    first = await keyed.http.post(ORDERS, json={"by": "ann"}, headers=ann | same)
    second = await keyed.http.post(ORDERS, json={"by": "ben"}, headers=ben | same)
    again = await keyed.http.post(ORDERS, json={"by": "ann"}, headers=ann | same)
    assert (first.status_code, second.status_code, again.status_code) == (201, 201, 201)
    assert first.json()["id"] != second.json()["id"]
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")


async def test_two_keys_of_one_principal_share_its_idempotency_keys_and_jobs(
    keyed: Service, file: Path, ann: Fields
) -> None:
    other = bearer(file, "ann", "read", "write")
    keyed.world.clock.advance(SECONDS_BETWEEN_LOOKS)
    same = {"idempotency-key": "order-1"} | HELD
    held = await keyed.http.post(ORDERS, json={}, headers=ann | same)
    again = await keyed.http.post(ORDERS, json={}, headers=other | same)
    assert again.json()["id"] == held.json()["id"]
    assert (await keyed.http.get(held.headers["location"], headers=other)).status_code == 200


async def test_a_job_is_seen_by_its_principal_and_by_operators_only(
    keyed: Service, file: Path, ann: Fields, ben: Fields, operator: Fields
) -> None:
    reading_operator = bearer(file, "ops", "read", "write", "admin")
    keyed.world.clock.advance(SECONDS_BETWEEN_LOOKS)
    held = await keyed.http.post(ORDERS, json={}, headers=ann | HELD)
    job = held.headers["location"]
    nobodys = f"/v1/jobs/{'0' * 8}-{'0' * 4}-{'0' * 4}-{'0' * 4}-{'0' * 12}"
    for more in ({}, {"accept": "text/event-stream"}):
        answers = [await keyed.http.get(path, headers=ben | more) for path in (job, nobodys)]
        hidden, absent = (answer.text.replace(answer.request.url.path[9:], "ID") for answer in answers)
        assert ([answer.status_code for answer in answers], hidden) == ([404, 404], absent)
    assert (await keyed.http.get(f"{job}?wait=60", headers=ben)).status_code == 404
    assert (await keyed.http.delete(job, headers=ben)).status_code == 404
    assert (await keyed.http.get(job, headers=ann)).json()["state"] == "queued"
    assert (await keyed.http.get(job, headers=reading_operator)).status_code == 200
    listed = await keyed.http.get("/v1/jobs", headers=operator)
    assert [each["id"] for each in listed.json()["items"]] == [held.json()["id"]]
    assert (await keyed.http.get("/v1/jobs", headers=ann)).status_code == 403
    assert (await keyed.http.post(f"{job}/retry", headers=ann)).status_code == 403
    assert (await keyed.http.post(f"{job}/retry", headers=operator)).status_code == 200
    assert (await keyed.http.delete(job, headers=ann)).json()["state"] == "cancelled"


async def test_a_key_for_some_collections_does_not_see_its_principals_jobs_in_others(
    keyed: Service, file: Path, ann: Fields
) -> None:
    narrow = bearer(file, "ann", "read", collections="shop-")
    keyed.world.clock.advance(SECONDS_BETWEEN_LOOKS)
    held = await keyed.http.post(ORDERS, json={}, headers=ann | HELD)
    assert (await keyed.http.get(held.headers["location"], headers=narrow)).status_code == 404


async def test_without_keys_everybody_may_do_everything() -> None:
    async with service() as s:
        held = await s.http.post(ORDERS, json={}, headers=HELD | {"authorization": "Bearer of-something-else"})
        assert (await s.http.get(held.headers["location"])).status_code == 200
        assert (await s.http.get("/v1/jobs")).status_code == 200
        assert not (await s.http.get("/openapi.json")).json()["paths"]["/v1/jobs"]["get"]["security"]


async def test_beyond_its_rate_a_principal_is_refused_and_the_others_are_not(
    file: Path, ann: Fields, ben: Fields
) -> None:
    async with service(keys_file=file, rate_limit=3, rate_period=60) as s:
        left = []
        for _ in range(3):
            answer = await s.http.get(f"{ORDERS}/none", headers=ann)
            assert (answer.status_code, answer.headers["ratelimit-policy"]) == (404, '"principal";q=3;w=60')
            left.append(answer.headers["ratelimit"])
        assert left == ['"principal";r=2;t=20', '"principal";r=1;t=40', '"principal";r=0;t=60']
        for path in (ORDERS, "/v1/jobs/none"):
            answer = await s.http.get(path, headers=ann)
            assert (answer.status_code, answer.json()["type"]) == (429, "/problems/rate-limited")
            assert (answer.headers["retry-after"], answer.headers["ratelimit"]) == ("20", '"principal";r=0;t=60')
        assert (await s.http.get(ORDERS, headers=ben)).status_code == 200
        s.world.clock.advance(20)
        answer = await s.http.get("/health", headers=ann)
        assert (answer.status_code, answer.headers["ratelimit"]) == (200, '"principal";r=0;t=60')


async def test_who_is_not_known_spends_nobodys_rate_and_liveness_has_none(file: Path, ann: Fields) -> None:
    async with service(keys_file=file, rate_limit=1) as s:
        for _ in range(3):
            assert (await s.http.get(ORDERS)).status_code == 401
            assert (await s.http.get("/livez")).status_code == 200
        assert (await s.http.get(ORDERS, headers=ann)).status_code == 200


async def test_without_a_limit_nothing_is_said_of_it(keyed: Service, ann: Fields) -> None:
    answer = await keyed.http.get(ORDERS, headers=ann)
    assert not [name for name in answer.headers if name.startswith("ratelimit")]
