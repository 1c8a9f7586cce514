"""Behaviour of health checks: what a check finds on the wire, and what results add up to."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.clock import system_clock
from holdfast.failover import Endpoint, HealthCheck, HealthStatus, Invalid
from holdfast.failover.pool.health import Health
from holdfast.failover.pool.probes import probe
from holdfast.testing.clock import FakeClock
from tests.support.certificates import self_signed
from tests.support.checked import http, server
from tests.support.pools import BAD, GOOD, POOR

UNKNOWN = HealthStatus.UNKNOWN
# No check of it runs out of time, on any machine.
PATIENT = HealthCheck(timeout=60.0)


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


# What a check finds.


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("200 OK", GOOD),
        ("204 No Content", GOOD),
        ("301 Moved", BAD),
        ("404 Not Found", BAD),
        ("429 Too Many Requests", POOR),
        ("500 Oops", BAD),
        ("503", BAD),
    ],
)
async def test_the_status_code_decides(status: str, expected: HealthStatus) -> None:
    async with server(http(status)) as endpoint:
        result = await probe(endpoint, PATIENT, system_clock)
    assert result.status is expected
    assert result.duration > 0
    assert result.detail == ("" if expected is GOOD else f"answered {status[:3]}")


async def test_the_expected_codes_may_be_others() -> None:
    async with server(http("401 Unauthorized")) as endpoint:
        assert (await probe(endpoint, replace(PATIENT, expect={401}), system_clock)).status is GOOD


async def test_path_method_headers_and_body_are_sent() -> None:
    seen: list[bytes] = []
    check = HealthCheck(
        timeout=60.0, path="/up?deep=1", method="POST", headers={"X-Key": "k", "host": "inner"}, body=b'{"ping":1}'
    )
    async with server(http("200 OK", seen)) as endpoint:
        assert (await probe(endpoint, check, system_clock)).status is GOOD
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /up?deep=1 HTTP/1.1"
    assert {b"X-Key: k", b"host: inner", b"Content-Length: 10", b"Connection: close"} <= set(lines)
    assert not any(line.startswith(b"Host:") for line in lines)
    assert body == b'{"ping":1}'


async def test_ipv6_is_asked_by_its_bracketed_name() -> None:
    seen: list[bytes] = []
    try:
        async with server(http("200 OK", seen), "::1") as endpoint:
            assert (await probe(endpoint, PATIENT, system_clock)).status is GOOD
    except OSError:
        pytest.skip("no IPv6 on this machine")
    assert f"Host: [::1]:{endpoint.port}".encode() in seen[0]


async def test_what_speaks_no_http_is_unhealthy() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")

    async def nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    for other in (answer, nothing):
        async with server(other) as endpoint:
            result = await probe(endpoint, PATIENT, system_clock)
        assert result.status is BAD
        assert "not an HTTP answer" in result.detail


async def test_https_is_checked_with_the_authorities_it_was_given(tmp_path: Path) -> None:
    key, certificate = self_signed(tmp_path)
    serving, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    serving.load_cert_chain(certificate, key)
    trusting.load_verify_locations(certificate)
    async with server(http("200 OK"), tls=serving) as plain:
        endpoint = replace(plain, protocol="https")
        assert (await probe(endpoint, replace(PATIENT, tls=trusting), system_clock)).status is GOOD
        result = await probe(endpoint, PATIENT, system_clock)
        assert result.status is BAD
        assert "SSLCertVerificationError" in result.detail
        assert (await probe(plain, HealthCheck(timeout=1.0), system_clock)).status is BAD


async def test_a_refused_connection_is_unhealthy() -> None:
    async with server(hang) as endpoint:
        pass
    for how in ("http", "tcp"):
        result = await probe(endpoint, replace(PATIENT, how=how), system_clock)
        assert result.status is BAD
        assert "ConnectionRefusedError" in result.detail


async def test_a_server_that_says_nothing_is_unhealthy_when_time_is_up() -> None:
    async with server(hang) as endpoint:
        result = await probe(endpoint, HealthCheck(timeout=0.05), system_clock)
    assert result.status is BAD
    assert "Abandoned" in result.detail


async def test_a_tcp_check_wants_a_connection_only_and_may_look_at_another_port() -> None:
    async with server(hang) as endpoint:
        elsewhere = Endpoint("b", "127.0.0.1", 1)
        assert (await probe(endpoint, replace(PATIENT, how="tcp"), system_clock)).status is GOOD
        assert (await probe(elsewhere, replace(PATIENT, how="tcp", port=endpoint.port), system_clock)).status is GOOD


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(None, GOOD), (True, GOOD), (False, BAD), (POOR, POOR), (BAD, BAD), (OSError("no"), BAD)],
)
async def test_a_function_may_check(answer: Any, expected: HealthStatus) -> None:
    async def look(endpoint: Endpoint) -> Any:
        assert endpoint.id == "a"
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert (await probe(Endpoint("a", "10.0.0.1", 80), HealthCheck(how=look), system_clock)).status is expected


async def test_a_slow_good_answer_is_degraded() -> None:
    clock = FakeClock()

    async def look(_endpoint: Endpoint) -> None:
        clock.advance(0.5)

    endpoint = Endpoint("a", "10.0.0.1", 80)
    assert (await probe(endpoint, HealthCheck(how=look, slow=0.6), clock)).status is GOOD
    result = await probe(endpoint, HealthCheck(how=look, slow=0.5), clock)
    assert (result.status, result.detail) == (POOR, "took 0.5 s")


@pytest.mark.parametrize(
    "wrong",
    [
        {"how": "ping"},
        {"path": "up"},
        {"path": "/a b"},
        {"path": "/a\r\nX: y"},
        {"method": "GET /"},
        {"headers": {"X-Key": "a\r\nX-Other: b"}},
        {"headers": {"X Key": "a"}},
        {"interval": 0.0},
        {"timeout": float("inf")},
        {"slow": 0.0},
        {"healthy_threshold": 0},
        {"unhealthy_threshold": 0},
        {"port": 0},
    ],
)
def test_a_check_that_cannot_be_made_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match=f"{next(iter(wrong))} of a health check must be"):
        HealthCheck(**wrong)


# What results add up to.


def after(*results: HealthStatus, check: HealthCheck | None = None) -> HealthStatus:
    health = Health()
    for result in results:
        health = health.after(result, check or HealthCheck(healthy_threshold=2, unhealthy_threshold=3))
    return health.status


def test_where_nothing_is_known_the_first_result_decides() -> None:
    assert after() is UNKNOWN
    assert after(GOOD) is GOOD
    assert after(POOR) is POOR
    assert after(BAD) is BAD


def test_it_takes_so_many_bad_ones_in_a_row_to_fall_and_good_ones_to_rise() -> None:
    assert after(GOOD, BAD, BAD) is GOOD
    assert after(GOOD, BAD, BAD, GOOD, BAD, BAD) is GOOD
    assert after(GOOD, BAD, BAD, BAD) is BAD
    assert after(BAD, GOOD) is BAD
    assert after(BAD, GOOD, BAD, GOOD) is BAD
    assert after(BAD, GOOD, POOR) is POOR


def test_between_healthy_and_degraded_every_result_counts() -> None:
    assert after(GOOD, POOR) is POOR
    assert after(POOR, GOOD) is GOOD


@given(st.lists(st.sampled_from([GOOD, POOR, BAD]), max_size=40), st.integers(1, 5), st.integers(1, 5))
def test_no_status_changes_without_its_threshold_in_a_row(results: list[HealthStatus], up: int, down: int) -> None:
    check = HealthCheck(healthy_threshold=up, unhealthy_threshold=down)
    health = Health()
    for number, result in enumerate(results, 1):
        before, health = health, health.after(result, check)
        if before.status in (GOOD, POOR) and health.status is BAD:
            assert results[number - down : number] == [BAD] * down
        if before.status is BAD and health.status is not BAD:
            assert BAD not in results[number - up : number]
