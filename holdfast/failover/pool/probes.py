"""One look at an endpoint over the network."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache

from ...abandon import abandon_after
from ...clock import Clock
from .endpoint import Endpoint
from .health import CheckResult, HealthCheck, HealthStatus

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_TOO_MANY_REQUESTS = 429


async def probe(endpoint: Endpoint, check: HealthCheck, clock: Clock) -> CheckResult:
    """Check the endpoint once, in `check.timeout` seconds; every error is a result, and cancellation gets out."""
    started = clock.monotonic()
    try:
        status, detail = await abandon_after(check.timeout, _look(endpoint, check), clock=clock)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not well
        status, detail = HealthStatus.UNHEALTHY, f"{type(error).__qualname__}: {error}"
    duration = clock.monotonic() - started
    if status is HealthStatus.HEALTHY and duration >= check.slow:
        status, detail = HealthStatus.DEGRADED, f"took {duration:.3g} s"
    return CheckResult(status, duration, detail)


async def _look(endpoint: Endpoint, check: HealthCheck) -> tuple[HealthStatus, str]:
    if check.how == "tcp":
        async with _connection(endpoint, check):
            return HealthStatus.HEALTHY, ""
    if check.how == "http":
        return _judge(await _status_code(endpoint, check), check)
    answer = await check.how(endpoint)
    if isinstance(answer, HealthStatus):
        return answer, ""
    return (HealthStatus.UNHEALTHY, "the check said no") if answer is False else (HealthStatus.HEALTHY, "")


def _judge(code: int, check: HealthCheck) -> tuple[HealthStatus, str]:
    if code in check.expect:
        return HealthStatus.HEALTHY, ""
    status = HealthStatus.DEGRADED if code == _TOO_MANY_REQUESTS else HealthStatus.UNHEALTHY
    return status, f"answered {code}"


async def _status_code(endpoint: Endpoint, check: HealthCheck) -> int:
    async with _connection(endpoint, check) as (reader, writer):
        writer.write(_request(endpoint, check))
        await writer.drain()
        line = await reader.readline()
    answer = _STATUS_LINE.match(line)
    if answer is None:
        raise ConnectionError(f"not an HTTP answer: {line[:40]!r}")
    return int(answer[1])


def _request(endpoint: Endpoint, check: HealthCheck) -> bytes:
    host = endpoint.url.partition("://")[2]
    headers = {"Host": host, "User-Agent": "holdfast", "Accept": "*/*", "Connection": "close"}
    if check.body or check.method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len(check.body))
    known = {name.lower() for name in check.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in known} | dict(check.headers)
    lines = [f"{check.method} {check.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + check.body


@asynccontextmanager
async def _connection(
    endpoint: Endpoint, check: HealthCheck
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    tls = (check.tls or _system_tls()) if endpoint.protocol == "https" and check.how == "http" else None
    reader, writer = await asyncio.open_connection(endpoint.address, check.port or endpoint.port, ssl=tls)
    try:
        yield reader, writer
    finally:
        writer.close()
        # Nobody waits for a goodbye that a frozen server will not answer.
        writer.transport.abort()
        with suppress(Exception):
            await writer.wait_closed()


@cache
def _system_tls() -> ssl.SSLContext:
    """Made once: reading all authorities takes milliseconds."""
    return ssl.create_default_context()
