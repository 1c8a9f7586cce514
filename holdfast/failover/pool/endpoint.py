"""One place where a service can be reached, and how well it is known to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ...checks import require
from ..errors import Invalid
from .health import HealthCheck, HealthStatus


class Location(NamedTuple):
    """Degrees: north and east are positive."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of a service.

    id:           unique in its pool.
    address:      a host name or an IP address.
    port:         1 to 65535.
    protocol:     the scheme of its URL.
    weight:       its share, at least 0; 0 takes it out without deregistering it.
    priority:     only those of the lowest number that can be asked are asked.
    tags:         words to choose by.
    metadata:     `latitude` and `longitude` (degrees), `region` and whatever else is worth knowing.
    health_check: how it is checked; None for the pool's way.
    reported:     what whoever named it (a discovery source) says of its health.

    Raises Invalid, with the value at fault.

    >>> Endpoint("a", "10.0.0.1", 8080).url
    'http://10.0.0.1:8080'
    >>> Endpoint("b", "fd00::1", 5432, protocol="postgresql").url
    'postgresql://[fd00::1]:5432'
    """

    id: str
    address: str
    port: int
    protocol: str = "http"
    weight: float = 1.0
    priority: int = 0
    tags: frozenset[str] = frozenset()
    metadata: Mapping[str, str] = field(default_factory=dict)
    health_check: HealthCheck | None = None
    reported: HealthStatus = HealthStatus.UNKNOWN

    def __post_init__(self) -> None:
        _require(bool(self.id), "id", "not empty", self.id)
        bare = bool(self.address) and not any(sign in self.address for sign in " /@?#[]\r\n\t")
        _require(bare, "address", "a host name or an IP address", self.address)
        _require(1 <= self.port <= 65_535, "port", "1 to 65535", self.port)
        _require(self.protocol.replace("+", "").isalnum(), "protocol", "a scheme such as http", self.protocol)
        _require(0 <= self.weight < math.inf, "weight", "at least 0 and finite", self.weight)
        _location(self.metadata)

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.protocol}://{host}:{self.port}"

    @property
    def location(self) -> Location | None:
        return _location(self.metadata)

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """From `protocol://address:port`, which becomes the id; `?weight=2&priority=1&tag=x&key=value` is understood.

        >>> Endpoint.parse("https://eu.example.org:8443?weight=3&region=eu").metadata
        {'region': 'eu'}
        """
        try:
            parts = urlsplit(url)
            port = parts.port or {"https": 443, "postgresql": 5432}.get(parts.scheme, 80)
            options = parse_qsl(parts.query, strict_parsing=bool(parts.query))
            named = dict(options)
            weight, priority = float(named.pop("weight", 1.0)), int(named.pop("priority", 0))
        except ValueError as error:
            raise Invalid(f"an endpoint must look like http://address:port?weight=1, got {url!r}") from error
        named.pop("tag", None)
        return cls(
            id=f"{parts.scheme}://{parts.netloc}",
            address=parts.hostname or "",
            port=port,
            protocol=parts.scheme,
            weight=weight,
            priority=priority,
            tags=frozenset(value for key, value in options if key == "tag"),
            metadata=named,
        )


def _location(metadata: Mapping[str, str]) -> Location | None:
    if "latitude" not in metadata or "longitude" not in metadata:
        return None
    latitude = _degrees(metadata, "latitude", 90.0)
    return Location(latitude, _degrees(metadata, "longitude", 180.0))


def _degrees(metadata: Mapping[str, str], name: str, limit: float) -> float:
    try:
        degrees = float(metadata[name])
    except ValueError:
        degrees = math.nan
    _require(-limit <= degrees <= limit, name, f"degrees from -{limit:g} to {limit:g}", metadata[name])
    return degrees


def _require(condition: bool, name: str, must_be: str, got: object) -> None:
    require(condition, f"the {name} of an endpoint", must_be, got, error=Invalid)
