"""Endpoints of a service by DNS: addresses of a name (A and AAAA), or its SRV records (RFC 2782).

Records are asked for again when their time to live is over, within bounds. A name that cannot be resolved, or that is
gone, is an outage of discovery: what was known stays.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, field

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.SRV import SRV

from holdfast.clock import Clock, system_clock
from holdfast.errors import Unavailable
from holdfast.failover import Endpoint, Invalid, Source
from holdfast.joining import cancelled_by_caller

# A weight of nothing among others means a very small chance (RFC 2782), and not none.
_LEAST_WEIGHT = 0.01

Found = tuple[list[Endpoint], float]


@dataclass(frozen=True, slots=True)
class DnsService:
    """What to ask DNS for.

    name:     a host name, or with `srv` the service's name, such as `_http._tcp.example.org`.
    port:     of every address; SRV records have their own.
    srv:      ask for SRV records, which say port, weight and priority.
    protocol: of the endpoints' URLs.
    soonest, latest: seconds, more than 0, between which the time to live is kept.
    timeout:  seconds for an answer, retries with other servers included.
    resolver: asks; the system's servers if not given.
    """

    name: str
    port: int = 80
    srv: bool = False
    protocol: str = "http"
    soonest: float = 1.0
    latest: float = 60.0
    timeout: float = 5.0
    resolver: dns.asyncresolver.Resolver | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.name:
            raise Invalid("a DNS service needs a name")
        if not 0 < self.soonest <= self.latest < math.inf or not self.timeout > 0:
            raise Invalid(f"soonest must be more than 0, latest at least that, timeout more than 0, got {self}")


def dns_source(service: DnsService, *, clock: Clock = system_clock) -> Source:
    """A source of the endpoints that DNS names."""

    async def source() -> AsyncGenerator[Collection[Endpoint], None]:
        resolver = service.resolver or dns.asyncresolver.Resolver()
        known: list[Endpoint] | None = None
        while True:
            endpoints, ttl = await (_services if service.srv else _addresses)(resolver, service)
            if endpoints != known:
                known = endpoints
                yield endpoints
            await clock.sleep(min(max(ttl, service.soonest), service.latest))

    return source


async def _addresses(resolver: dns.asyncresolver.Resolver, service: DnsService) -> Found:
    answers = [await _ask(resolver, service, kind) for kind in ("A", "AAAA")]
    records = [record for answer in answers for record in answer.rrset or () if isinstance(record, A | AAAA)]
    if not records:
        raise Unavailable(f"{service.name!r} has no addresses")
    addresses = sorted(record.address for record in records)
    endpoints = [Endpoint(_id(each, service.port), each, service.port, service.protocol) for each in addresses]
    return endpoints, _ttl(answers)


async def _services(resolver: dns.asyncresolver.Resolver, service: DnsService) -> Found:
    answer = await _ask(resolver, service, "SRV")
    records = [record for record in answer.rrset or () if isinstance(record, SRV)]
    if not records:
        raise Unavailable(f"{service.name!r} has no SRV records")
    # A lone dot as the target says that the service is decidedly not to be had.
    offered = [record for record in records if record.target != dns.name.root]
    endpoints = sorted((_endpoint(record, service) for record in offered), key=lambda endpoint: endpoint.id)
    return endpoints, _ttl([answer])


async def _ask(resolver: dns.asyncresolver.Resolver, service: DnsService, kind: str) -> dns.resolver.Answer:
    try:
        return await resolver.resolve(service.name, kind, lifetime=service.timeout, raise_on_no_answer=False)
    except dns.exception.DNSException as error:
        raise Unavailable(f"{service.name!r} cannot be resolved: {error}") from error
    finally:
        # asyncio.wait_for, which dnspython uses, may lose a cancellation that comes with the answer (Python 3.11).
        if cancelled_by_caller():
            raise asyncio.CancelledError


def _ttl(answers: Sequence[dns.resolver.Answer]) -> float:
    """Seconds for which all of what was found holds, aliases on the way included."""
    return min(answer.chaining_result.minimum_ttl for answer in answers if answer.rrset)


def _endpoint(record: SRV, service: DnsService) -> Endpoint:
    target = record.target.to_text(omit_final_dot=True)
    return Endpoint(
        id=_id(target, record.port),
        address=target,
        port=record.port,
        protocol=service.protocol,
        weight=record.weight or _LEAST_WEIGHT,
        priority=record.priority,
    )


def _id(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
