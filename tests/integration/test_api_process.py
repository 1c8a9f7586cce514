"""`python -m api` as a process: how it starts, what stops it from starting, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from typing import Any

import httpx
import pytest

from tests.support.api_process import ApiProcess, run, running
from tests.support.processes import wait_until

ORDER = "/v1/records/orders/1"


def test_wrong_settings_end_it_with_2_and_the_names_of_the_variables() -> None:
    ended = run(HOLDFAST_API_PORT="eighty", HOLDFAST_MAX_BODY="0")
    assert ended.returncode == 2
    assert "HOLDFAST_API_PORT" in ended.stderr
    assert "HOLDFAST_MAX_BODY" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_ends_it_with_3_and_says_which() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run(HOLDFAST_API_PORT=str(port))
    assert ended.returncode == 3
    assert str(port) in ended.stderr
    assert "HOLDFAST_API_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_host_that_is_not_ours_ends_it_with_3() -> None:
    ended = run(HOLDFAST_API_HOST="192.0.2.1")
    assert (ended.returncode, "HOLDFAST_API_HOST" in ended.stderr) == (3, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_0_when_asked_to(number: int) -> None:
    with running() as api:
        assert api.http.put(ORDER, json={"a": 1}).status_code == 201
        assert api.ended(number) == 0


def test_a_write_is_held_while_the_store_is_isolated_and_drains_by_itself_afterwards() -> None:
    with running() as api:
        act(api, "isolate")
        held = api.http.put(ORDER, json={"a": 1})
        assert held.status_code == 202
        assert api.http.get(held.headers["location"]).json()["state"] == "queued"
        act(api, "release")
        job = api.http.get(held.headers["location"], params={"wait": 50}).json()
        assert (job["state"], job["result"]["status"]) == ("succeeded", 201)
        assert api.http.get(ORDER).json()["data"] == {"a": 1}


def test_a_job_can_be_followed_to_its_end() -> None:
    with running() as api:
        act(api, "isolate")
        location = api.http.put(ORDER, json={"a": 1}).headers["location"]
        with api.http.stream("GET", location, headers={"accept": "text/event-stream"}) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            states = (json.loads(line.removeprefix("data: "))["state"] for line in lines if line.startswith("data: "))
            assert next(states) == "queued"
            act(api, "release")
            assert list(states)[-1] == "succeeded"


def act(api: ApiProcess, action: str) -> None:
    assert api.http.post("/admin/breakers/store", json={"action": action}).status_code == 200


def test_at_its_end_it_answers_those_who_wait_and_does_not_wait_for_them() -> None:
    with running(HOLDFAST_SHUTDOWN_GRACE="50") as api:
        act(api, "isolate")
        location = api.http.put(ORDER, json={"a": 1}).headers["location"]
        answers: list[httpx.Response] = []
        polling = threading.Thread(target=lambda: answers.append(httpx.get(f"{api.url}{location}?wait=60", timeout=70)))
        polling.start()
        wait_until(lambda: api.http.get("/admin/stats").json()["requests"]["waiting"] == 1, "the poll waits")
        began = time.monotonic()
        assert api.ended() == 0
        assert time.monotonic() - began < 40
        polling.join(10)
        assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(200, "queued")]


def test_a_client_that_stalls_in_its_request_does_not_keep_it_from_ending() -> None:
    with running(HOLDFAST_SHUTDOWN_GRACE="1") as api, connection_to(api) as stalled:
        head = b"PUT %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
        stalled.sendall(head % ORDER.encode())
        began = time.monotonic()
        assert api.ended() == 0
        assert time.monotonic() - began < 25, "nor waited for the 30 s that a request has to arrive"


def connection_to(api: ApiProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])))


def test_ten_megabytes_are_refused_and_the_next_request_is_served() -> None:
    with running() as api:
        headers = {"content-type": "application/json"}
        for content in (b" " * 10_000_000, iter([b" " * 100_000] * 100)):
            answer = api.http.put(ORDER, content=content, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (413, "/problems/content-too-large")
        assert api.http.put(ORDER, json={}).status_code == 201


def test_it_starts_and_says_how_it_is_while_every_server_is_away() -> None:
    nobody = "127.0.0.1:1"
    away = {
        "HOLDFAST_STORE": "postgres",
        "HOLDFAST_POSTGRES_URL": f"postgresql://holdfast:secret@{nobody}/holdfast",
        "HOLDFAST_LEDGER_URL": f"redis://{nobody}/0",
        "HOLDFAST_CACHE_URL": f"redis://{nobody}/1",
        "HOLDFAST_BROKER_URL": f"redis://{nobody}/2",
    }
    with running(**away) as api:
        assert api.http.get("/readyz").status_code == 503
        health = api.http.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "fail")
        assert_unavailable(api.http.put(ORDER, json={"a": 1}))
        assert_unavailable(api.http.get(ORDER))
        assert_unavailable(api.http.get("/v1/jobs"))
        assert api.http.get("/metrics").status_code == 200
        assert api.ended() == 0


def assert_unavailable(answer: httpx.Response) -> None:
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["type"]) == (503, "/problems/unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert "127.0.0.1" not in answer.text
