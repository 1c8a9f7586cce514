"""Connections as they come from the network: malformed, huge, slow, silent, half-closed. All over real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator
from functools import partial
from itertools import pairwise

import httpx
import pytest

from api.protocol import (
    LARGEST_HEAD,
    LONGEST_TARGET,
    MOST_FIELDS,
    MOST_THROWN_AWAY,
    SECONDS_TO_ARRIVE,
    SECONDS_TO_HEAR,
    SECONDS_TO_LEAVE,
)
from holdfast.testing.faults import hung
from tests.support.connections import Connection, Listening, connected, listening
from tests.support.engine import pass_time
from tests.support.polling import until
from tests.support.service import JSON

GET = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
LATE = SECONDS_TO_ARRIVE + 1


def put(id_: str, body: bytes, *lines: bytes) -> bytes:
    head = b"PUT /v1/records/orders/%s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n" % id_.encode()
    length = b"content-length: %d\r\n" % len(body)
    return head + length + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost x\r\n\r\n",
        b"GET /v1/records/orders/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v1/records/orders HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/records/orders HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/records/orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_not_http_is_refused_as_a_problem_and_the_connection_closed(garbage: bytes) -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(garbage)
        status, headers, body = await connection.answer()
        assert (status, headers["content-type"], headers["connection"]) == (400, "application/problem+json", "close")
        assert json.loads(body)["type"] == "/problems/invalid-request"
        assert await connection.end() == b""


@pytest.mark.parametrize("in_pieces", [False, True])
async def test_a_head_that_is_too_large_is_refused(in_pieces: bool) -> None:
    async with listening() as at, connected(at.port) as connection:
        lines = b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(LARGEST_HEAD // 1000 + 1))
        connection.send(b"GET /livez HTTP/1.1\r\n")
        if in_pieces:
            for start in range(0, len(lines), 4096):
                connection.send(lines[start : start + 4096])
                await asyncio.sleep(0)
        else:
            connection.send(lines + b"\r\n")
        status, _, body = await connection.answer()
        assert (status, json.loads(body)["type"]) == (431, "/problems/headers-too-large")


async def test_a_head_without_an_end_is_refused_long_before_memory_ends() -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(b"GET /livez HTTP/1.1\r\nx: " + b"y" * 2_000_000)
        assert (await connection.answer())[0] == 431
        assert await connection.end() == b""


async def test_a_refused_client_that_never_leaves_is_let_go() -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(b"garbage\r\n\r\n")
        assert (await connection.answer())[0] == 400
        at.let_time_pass(1)
        assert not at.connections[0].transport.is_closing()
        at.let_time_pass(SECONDS_TO_HEAR + 1)
        await until(lambda: not at.connections)


async def test_a_large_head_within_the_limit_is_served() -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(GET[:-2] + b"x: " + b"y" * (LARGEST_HEAD - 100) + b"\r\n\r\n")
        assert (await connection.answer())[0] == 200


@pytest.mark.parametrize(("fields", "status"), [(MOST_FIELDS - 1, 200), (MOST_FIELDS, 431), (20 * MOST_FIELDS, 431)])
async def test_a_head_of_too_many_fields_is_refused(fields: int, status: int) -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(GET[:-2] + b"x:y\r\n" * fields + b"\r\n")
        answered, _, body = await connection.answer()
        assert answered == status
        assert status == 200 or json.loads(body)["type"] == "/problems/headers-too-large"


async def test_a_target_that_is_too_long_is_refused() -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(b"GET /" + b"x" * LONGEST_TARGET + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        status, _, body = await connection.answer()
        assert (status, json.loads(body)["type"]) == (414, "/problems/target-too-long")


@pytest.mark.parametrize("begun", [b"G", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nhost: x\r\n", b"\r\n"])
async def test_a_head_that_does_not_arrive_is_waited_for_no_longer(begun: bytes) -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(begun)
        await until(lambda: at.connections and at.connections[0]._received)
        at.let_time_pass(SECONDS_TO_ARRIVE / 2)
        assert at.connections[0]._refused_at is None
        at.let_time_pass(LATE)
        status, headers, body = await connection.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(body)["type"] == "/problems/request-timeout"
        assert await connection.end() == b""


async def test_a_body_that_does_not_arrive_is_waited_for_no_longer_and_has_no_effect() -> None:
    async with listening(max_requests=1) as at, connected(at.port) as connection:
        connection.send(put("1", b'{"a":1}')[:-3])
        await until(lambda: at.connections and at.connections[0].cycle is not None)
        at.let_time_pass(LATE)
        assert (await connection.answer())[0] == 408
        assert await connection.end() == b""
        async with httpx.AsyncClient(base_url=at.url) as http:
            assert (await http.get("/v1/records/orders/1")).status_code == 404


async def test_a_request_that_comes_byte_by_byte_has_no_more_time_than_another() -> None:
    async with listening() as at, connected(at.port) as connection:
        whole = put("1", b'{"filler":"' + b"x" * 100 + b'"}')
        for begin, end in pairwise((0, 20, len(whole) // 2, len(whole) - 1)):
            connection.send(whole[begin:end])
            await until(partial(has_received, at, end))
            at.let_time_pass(SECONDS_TO_ARRIVE / 2)
        at.let_time_pass(LATE)
        assert (await connection.answer())[0] == 408


def has_received(at: Listening, size: int) -> bool:
    return [each._received for each in at.connections] == [size]


async def test_a_connection_on_which_nothing_comes_is_closed_without_a_word() -> None:
    async with listening() as at, connected(at.port) as connection:
        await until(lambda: at.connections)
        at.let_time_pass(LATE)
        assert await connection.end() == b""


async def test_a_connection_that_has_been_served_may_rest() -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(GET)
        await connection.answer()
        at.let_time_pass(LATE)
        connection.send(GET)
        assert (await connection.answer())[0] == 200


async def test_a_connection_that_rests_for_long_is_closed() -> None:
    async with listening() as at:
        at.server.config.timeout_keep_alive = 0.05
        async with connected(at.port) as connection:
            connection.send(GET)
            assert (await connection.answer())[0] == 200
            assert await connection.end() == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET, 200),
        (b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"GET /v1/records/orders/1 HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"garbage\r\n\r\n", 400),
    ],
)
async def test_no_answer_names_the_server_or_may_be_taken_for_another_type_or_kept(
    request_: bytes, status: int
) -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(request_)
        answered, headers, _ = await connection.answer()
        assert (answered, headers["x-content-type-options"], headers["cache-control"]) == (
            status,
            "nosniff",
            "no-store",
        )
        assert "server" not in headers
        assert "strict-transport-security" not in headers


async def test_the_page_to_try_the_api_on_runs_no_script_but_its_own() -> None:
    async with listening() as at, httpx.AsyncClient(base_url=at.url) as http:
        answer = await http.get("/docs")
        policy = answer.headers["content-security-policy"]
        [script] = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
        assert "default-src 'none'" in policy
        assert "script-src 'unsafe-inline'" not in policy
        for source in re.findall(r'(?:src|href)="(https://[^/"]*)', answer.text):
            assert source in policy
        assert (await http.get("/openapi.json")).status_code == 200


async def test_a_request_that_has_arrived_may_take_its_time() -> None:
    async with listening() as at, connected(at.port) as connection:
        world = at.service.world
        world.store.down = hung
        connection.send(put("1", b"{}"))
        await until(lambda: "apply" in world.store.calls)
        at.let_time_pass(LATE)
        await pass_time(world, 5.0)
        assert (await connection.answer())[0] == 202


async def test_a_client_that_does_not_read_its_answer_is_let_go() -> None:
    async with listening() as at, connected(at.port) as connection:
        for n in range(12):
            await at.service.http.put(f"/v1/records/orders/{n}", json={"filler": "x" * 1_000_000})
        connection.send(b"GET /v1/records/orders HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(lambda: at.connections and at.connections[0].transport.get_write_buffer_size())
        at.let_time_pass(0)
        at.let_time_pass(SECONDS_TO_LEAVE / 2)
        assert not at.connections[0].transport.is_closing()
        at.let_time_pass(SECONDS_TO_LEAVE + 1)
        await until(lambda: not at.connections)


async def test_a_body_of_ten_megabytes_is_refused_and_the_client_can_read_that() -> None:
    async with listening() as at, httpx.AsyncClient(base_url=at.url) as http:
        body = b'{"a":"' + b"x" * 10_000_000 + b'"}'

        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 65_536):
                yield body[start : start + 65_536]

        for content in (body, parts()):
            answer = await http.put("/v1/records/orders/1", content=content, headers=JSON)
            assert (answer.status_code, answer.json()["type"]) == (413, "/problems/content-too-large")
        assert len(at.connections) == 1
        assert (await http.get("/v1/records/orders/1")).status_code == 404


async def test_a_body_without_an_end_is_cut_off() -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(put("1", b"")[:-2].replace(b"content-length: 0", b"content-length: 999999999") + b"\r\n")
        assert (await connection.answer())[0] == 413
        sent = await send_until_cut_off(connection, 3 * MOST_THROWN_AWAY)
        assert MOST_THROWN_AWAY / 2 <= sent < 3 * MOST_THROWN_AWAY


async def send_until_cut_off(connection: Connection, most: int) -> int:
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most:
            connection.send(b"x" * 1_000_000)
            await connection.drain()
            sent += 1_000_000
    return sent


async def test_who_asks_before_sending_is_told_to_go_on_or_not_to() -> None:
    async with listening() as at, connected(at.port) as connection:
        whole = put("1", b'{"a":1}', b"expect: 100-continue")
        connection.send(whole[:-7])
        assert (await connection.answer())[0] == 100
        connection.send(whole[-7:])
        assert (await connection.answer())[0] == 201
    async with listening() as at, connected(at.port) as connection:
        connection.send(put("1", b"x" * 2_000_000, b"expect: 100-continue")[:-2_000_000])
        assert (await connection.answer())[0] == 413


async def test_requests_sent_together_are_answered_in_their_order() -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(put("1", b'{"n":1}') + put("1", b'{"n":2}') + GET + put("1", b"{") + put("1", b'{"n":3}'))
        assert [(await connection.answer())[0] for _ in range(5)] == [201, 200, 200, 400, 200]


async def test_fields_after_a_body_are_not_taken_for_header_fields() -> None:
    async with listening() as at, connected(at.port) as connection:
        head = b"POST /v1/records/orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.send(head + b"2\r\n{}\r\n0\r\ncontent-type: application/json\r\n\r\n")
        assert (await connection.answer())[0] == 415


async def test_an_upgrade_that_is_not_offered_is_passed_over() -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(GET[:-2] + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n")
        assert (await connection.answer())[0] == 200


async def test_http_1_0_is_served_and_the_connection_closed() -> None:
    async with listening() as at, connected(at.port) as connection:
        connection.send(b"GET /livez HTTP/1.0\r\n\r\n")
        status, headers, _ = await connection.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await connection.end() == b""


async def test_at_its_end_a_process_answers_what_is_in_flight_and_takes_nothing_new() -> None:
    async with listening() as at, connected(at.port) as writing, connected(at.port) as polling, connected(at.port):
        world = at.service.world
        held = await at.service.http.put("/v1/records/orders/2", json={}, headers={"prefer": "respond-async"})
        polling.send(b"GET %s?wait=60 HTTP/1.1\r\nhost: x\r\n\r\n" % held.headers["location"].encode())
        await until(lambda: at.service.waiting.taken)
        world.store.down = hung
        writing.send(put("1", b"{}"))
        await until(lambda: "apply" in world.store.calls)
        at.server.should_exit = True
        status, headers, body = await polling.answer()
        assert (status, json.loads(body)["state"], headers["connection"]) == (200, "queued", "close")
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", at.port)
        await pass_time(world, 5.0)
        assert (await writing.answer())[0] == 202
        await until(lambda: not at.connections)
