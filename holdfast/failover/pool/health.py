"""How the health of an endpoint is found out, and how results become a status."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from ...checks import require
from ..errors import Invalid

if TYPE_CHECKING:
    import ssl

    from .endpoint import Endpoint

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class HealthStatus(StrEnum):
    """Degraded ones still answer: they are asked when no better one is left. Unhealthy ones are not."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


_SEVERITY = (HealthStatus.UNKNOWN, HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY)

# None and True mean healthy, False unhealthy, and so does whatever is raised.
Checker: TypeAlias = "Callable[[Endpoint], Awaitable[HealthStatus | bool | None]]"


def worst(*statuses: HealthStatus) -> HealthStatus:
    """The most serious of them; unknown only if all are.

    >>> worst(HealthStatus.UNKNOWN, HealthStatus.HEALTHY)
    <HealthStatus.HEALTHY: 'healthy'>
    """
    return max(statuses, key=_SEVERITY.index)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How to check an endpoint, and how many results make a status.

    how:                 `http`, `tcp` (it accepts a connection), or a function of the endpoint.
    path, method, headers, body: of the HTTP request; the connection is made anew for each check.
    expect:              status codes that are healthy; 429 is degraded, as Consul has it, and any other unhealthy.
    port:                where to check; None for the endpoint's own port.
    interval:            seconds between checks, more than 0; each is spread by a tenth either way.
    timeout:             seconds for a check, more than 0.
    slow:                seconds, more than 0, from which a good answer is degraded.
    tls:                 for https; None trusts whom the system trusts.
    healthy_threshold:   good results in a row, at least 1, that end an unhealthy status.
    unhealthy_threshold: bad results in a row, at least 1, that begin one.

    Where nothing is known yet, the first result decides.

    >>> HealthCheck(path="/ready", interval=5.0, headers={"Accept": "text/plain"}).method
    'GET'
    """

    how: Literal["http", "tcp"] | Checker = "http"
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    expect: Container[int] = range(200, 300)
    port: int | None = None
    interval: float = 10.0
    timeout: float = 2.0
    slow: float = math.inf
    healthy_threshold: int = 2
    unhealthy_threshold: int = 3
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        _require(callable(self.how) or self.how in ("http", "tcp"), "how", "http, tcp or a function", self.how)
        _require(self.path.startswith("/") and _is_visible(self.path), "path", "an absolute path", self.path)
        _require(_TOKEN.fullmatch(self.method) is not None, "method", "an HTTP method", self.method)
        for name, value in self.headers.items():
            fits = _TOKEN.fullmatch(name) is not None and not any(sign in value for sign in "\r\n\0")
            _require(fits, "headers", "names and values of one line", (name, value))
        for option in ("interval", "timeout"):
            _require(0 < getattr(self, option) < math.inf, option, "more than 0 and finite", getattr(self, option))
        _require(self.slow > 0, "slow", "more than 0", self.slow)
        for option in ("healthy_threshold", "unhealthy_threshold"):
            _require(getattr(self, option) >= 1, option, "at least 1", getattr(self, option))
        _require(self.port is None or 1 <= self.port <= 65_535, "port", "1 to 65535", self.port)


class CheckResult(NamedTuple):
    """What one check found. duration: seconds. detail: what is wrong, if anything.

    >>> CheckResult(HealthStatus.DEGRADED, 0.7, "took 0.7 s").status
    <HealthStatus.DEGRADED: 'degraded'>
    """

    status: HealthStatus
    duration: float = 0.0
    detail: str = ""


class Health(NamedTuple):
    """What the checks so far make of an endpoint. good, bad: results in a row."""

    status: HealthStatus = HealthStatus.UNKNOWN
    good: int = 0
    bad: int = 0

    def after(self, result: HealthStatus, check: HealthCheck) -> Health:
        """What one more result makes of it."""
        if result is HealthStatus.UNHEALTHY:
            bad = self.bad + 1
            over = bad >= check.unhealthy_threshold or self.status is HealthStatus.UNKNOWN
            return Health(result if over else self.status, 0, bad)
        good = self.good + 1
        still_out = self.status is HealthStatus.UNHEALTHY and good < check.healthy_threshold
        return Health(self.status if still_out else result, good, 0)


def _is_visible(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _require(condition: bool, name: str, must_be: str, got: object) -> None:
    require(condition, f"{name} of a health check", must_be, got, error=Invalid)
