"""The OpenAPI document: complete in itself, and what a real server really does."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from api.documents import reference
from api.problems import KINDS
from tests.support.api_process import ROOT, ApiProcess, running
from tests.support.keys import make_key
from tests.support.service import service

HERE = Path(__file__).parent
METHODS = {"get", "put", "post", "delete", "patch"}


async def document() -> dict[str, Any]:
    async with service() as s:
        made: dict[str, Any] = (await s.http.get("/openapi.json")).json()
        return made


def operations(made: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in made["paths"].items():
        for method in METHODS & set(item):
            yield f"{method.upper()} {path}", item[method]


def bodies(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Status (or `request`), media type and content of every body that the operation takes or gives."""
    for status, answer in [*operation["responses"].items(), ("request", operation.get("requestBody", {}))]:
        for media_type, content in answer.get("content", {}).items():
            yield status, media_type, content


async def test_every_body_has_an_example_and_every_example_fits_its_schema() -> None:
    made = await document()
    for name, operation in operations(made):
        for status, media_type, content in bodies(operation):
            shown = [example["value"] for example in content.get("examples", {}).values()]
            assert shown, f"{name} {status} {media_type} has no example"
            schema = {**content["schema"], "components": made["components"]}
            for example in shown:
                jsonschema_rs.validate(schema, example)


async def test_every_type_of_problem_has_an_example_and_those_of_the_routes_are_told_where_they_may_come() -> None:
    made = await document()
    assert set(made["components"]["examples"]) == set(KINDS)
    told = {
        example
        for _, operation in operations(made)
        for _, media_type, content in bodies(operation)
        if media_type == "application/problem+json"
        for example in content["examples"]
    }
    anywhere = {"unknown-path", "method-not-allowed"}
    assert set(KINDS) - told == anywhere


async def test_every_operation_has_a_name_of_its_own_and_a_summary() -> None:
    found = [operation for _, operation in operations(await document())]
    names = [operation["operationId"] for operation in found]
    assert len(names) == len(set(names)) == 18
    assert all(operation["summary"] and operation["tags"] for operation in found)


async def test_limits_in_the_document_are_those_of_the_settings() -> None:
    async with service(max_id_length=7, max_page_size=9, page_size=5) as s:
        paths = (await s.http.get("/openapi.json")).json()["paths"]
    [_, id_] = paths["/v1/records/{collection}/{id}"]["parameters"]
    limit = paths["/v1/records/{collection}"]["get"]["parameters"][0]
    assert id_["schema"]["maxLength"] == 7
    assert (limit["schema"]["maximum"], limit["schema"]["default"]) == (9, 5)


def schemathesis(api: ApiProcess, config: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / config)),
        *("run", f"{api.url}/openapi.json", "--checks", "all", "--seed", "1", "--no-color", *arguments),
    ]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, env={**os.environ, **hooks}, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.mark.timeout(240)
def test_a_real_server_answers_as_documented_and_never_with_a_fault_of_its_own() -> None:
    with running() as api:
        ran = schemathesis(api, "schemathesis.toml", "-n", "25", "--exclude-operation-id", "setBreaker")
        assert ran.returncode == 0, ran.stdout[-10_000:]


@pytest.mark.timeout(240)
def test_a_real_server_without_its_store_answers_as_documented_too() -> None:
    with running() as api:
        api.http.post("/admin/breakers/store", json={"action": "isolate"}).raise_for_status()
        # 503 is the right answer here, and a job that was deleted (cancelled) can still be polled.
        beside = ["--exclude-checks", "not_a_server_error,use_after_free"]
        tags = ["--include-tag", "records", "--include-tag", "jobs"]
        ran = schemathesis(api, "schemathesis-held.toml", "-n", "15", *tags, *beside)
        assert ran.returncode == 0, ran.stdout[-10_000:]
        answered = api.http.get("/metrics").text
        assert 'http_request_method="PUT",http_response_status_code="202"' in answered
        assert 'http_response_status_code="500"' not in answered


@pytest.mark.timeout(240)
def test_a_real_server_with_keys_asks_for_them_as_documented(tmp_path: Path) -> None:
    key = make_key(tmp_path / "keys.json", "tester", "read", "write", "admin")["key"]
    with running(HOLDFAST_KEYS_FILE=str(tmp_path / "keys.json")) as api:
        beside = ["--exclude-operation-id", "setBreaker", "--phases", "examples", "--header"]
        ran = schemathesis(api, "schemathesis.toml", *beside, f"Authorization: Bearer {key}")
        assert ran.returncode == 0, ran.stdout[-10_000:]
        assert "Unauthorized" not in ran.stdout


@pytest.mark.timeout(240)
def test_breakers_are_set_as_documented() -> None:
    with running() as api:
        phases = ["--phases", "examples,coverage,fuzzing"]
        ran = schemathesis(api, "schemathesis.toml", "-n", "25", "--include-operation-id", "setBreaker", *phases)
        assert ran.returncode == 0, ran.stdout[-10_000:]


def test_the_page_of_every_call_is_current() -> None:
    current = reference.page(asyncio.run(reference.document()))
    assert Path("docs/reference/calls.md").read_text() == current, "python -m api.documents.reference"


async def test_without_the_network_the_page_to_try_things_on_still_leads_to_the_description() -> None:
    async with service() as s:
        shown = (await s.http.get("/docs")).text
    assert "<p>If nothing more appears, this browser cannot load" in shown
    assert '<a href="openapi.json">' in shown
