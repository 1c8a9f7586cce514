"""Which Service, and how its EndpointSlices are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from holdfast.failover import Endpoint, HealthStatus, Invalid, read_each
from holdfast.ratelimit import Rate

from .cluster import Cluster

Slice: TypeAlias = Mapping[str, Any]

# Best first.
_ORDER = (HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY)


@dataclass(frozen=True, slots=True)
class KubernetesService:
    """What to ask Kubernetes for.

    name:      of the Service.
    namespace: if empty, the one of this pod.
    port:      the name of a port, or its number; None for the first.
    family:    `IPv4` or `IPv6`; None for all addresses.
    protocol:  of the endpoints' URLs.
    watch:     seconds after which a watch is begun anew, at least 1: how long a connection that has died unnoticed
               can hide changes.
    rate:      of requests when watches keep ending.
    """

    name: str
    namespace: str = ""
    port: str | int | None = None
    family: str | None = None
    protocol: str = "http"
    watch: float = 240.0
    rate: Rate = field(default_factory=partial(Rate, 1, 2.0, 3))
    cluster: Cluster = field(default_factory=Cluster)

    def __post_init__(self) -> None:
        if not self.name:
            raise Invalid("a Kubernetes Service needs a name")
        if self.family not in (None, "IPv4", "IPv6"):
            raise Invalid(f"family must be IPv4, IPv6 or None, got {self.family!r}")
        if not 1 <= self.watch <= 3_600:
            raise Invalid(f"watch must be from 1 to 3600 seconds, got {self.watch}")


def read_slices(slices: Iterable[Slice], service: KubernetesService) -> list[Endpoint]:
    """All endpoints in a steady order; one that is in two slices, while it moves between them, is there at its best."""
    found = [endpoint for each in slices for endpoint in read_each(_entries(each, service), _endpoint)]
    found.sort(key=lambda endpoint: (endpoint.id, -_ORDER.index(endpoint.reported)))
    return list({endpoint.id: endpoint for endpoint in found}.values())


def _entries(each: Slice, service: KubernetesService) -> Iterator[tuple[Mapping[str, Any], int, KubernetesService]]:
    port = _port(each.get("ports") or (), service.port)
    if port is None or service.family not in (None, each.get("addressType")):
        return
    for entry in each.get("endpoints") or ():
        yield entry, port, service


def _port(ports: Iterable[Mapping[str, Any]], wanted: str | int | None) -> int | None:
    if isinstance(wanted, int):
        return wanted
    for port in ports:
        if port.get("port") and wanted in (None, port.get("name")):
            return int(port["port"])
    return None


def _endpoint(found: tuple[Mapping[str, Any], int, KubernetesService]) -> Endpoint:
    entry, port, service = found
    # Of several addresses all are the same endpoint, and the first is the one to use.
    address = entry["addresses"][0]
    names = {"zone": entry.get("zone"), "node": entry.get("nodeName"), "hostname": entry.get("hostname")}
    names["pod"] = (entry.get("targetRef") or {}).get("name")
    return Endpoint(
        id=f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
        address=address,
        port=port,
        protocol=service.protocol,
        metadata={name: value for name, value in names.items() if value},
        reported=_status(entry.get("conditions") or {}),
    )


def _status(conditions: Mapping[str, bool | None]) -> HealthStatus:
    """What is not said of readiness means yes; one that shuts down and still serves is better than none."""
    if conditions.get("ready") in (None, True):
        return HealthStatus.HEALTHY
    ending = conditions.get("serving") and conditions.get("terminating")
    return HealthStatus.DEGRADED if ending else HealthStatus.UNHEALTHY
