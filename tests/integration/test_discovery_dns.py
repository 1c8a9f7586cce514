"""Discovery by DNS, against a server that answers what the test has written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import dns.rcode
import pytest

from adapters.discovery_dns import DnsService, dns_source
from holdfast.errors import Unavailable
from holdfast.failover import Discovery, Endpoint, EndpointPool, Invalid
from holdfast.testing.clock import FakeClock
from tests.support.dns_server import Zone, dns_server
from tests.support.polling import until

NAME = "web.example.org."
SERVICE = "_http._tcp.web.example.org."


class Stage:
    """A pool that follows a name in a local zone, on a clock that the test moves."""

    def __init__(self, zone: Zone, resolver: Any) -> None:
        self.zone = zone
        self.resolver = resolver
        self.clock = FakeClock()
        self.pool = EndpointPool("web", clock=self.clock)

    def service(self, name: str = NAME, **options: Any) -> DnsService:
        return DnsService(name, **({"resolver": self.resolver, "timeout": 20.0} | options))

    def discovery(self, **options: Any) -> Discovery:
        return Discovery(self.pool, dns_source(self.service(**options), clock=self.clock))

    async def read(self, **options: Any) -> list[Endpoint]:
        """The first snapshot."""
        source = dns_source(self.service(**options), clock=self.clock)()
        snapshot = await anext(source)
        await source.aclose()
        return list(snapshot)

    def ids(self) -> list[str]:
        return [endpoint.id for endpoint in self.pool.list()]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with dns_server() as (zone, resolver):
        yield Stage(zone, resolver)


async def test_addresses_of_both_families_become_endpoints(stage: Stage) -> None:
    stage.zone.records = {(NAME, "A"): ["10.0.0.2", "10.0.0.1"], (NAME, "AAAA"): ["fd00::1"]}
    endpoints = await stage.read(port=8080)
    assert [endpoint.url for endpoint in endpoints] == [
        "http://10.0.0.1:8080",
        "http://10.0.0.2:8080",
        "http://[fd00::1]:8080",
    ]


async def test_a_name_of_one_family_is_enough(stage: Stage) -> None:
    stage.zone.records = {(NAME, "A"): ["10.0.0.1"]}
    assert [endpoint.id for endpoint in await stage.read()] == ["10.0.0.1:80"]


async def test_services_say_port_weight_and_priority(stage: Stage) -> None:
    stage.zone.records = {
        (SERVICE, "SRV"): ["10 5 8080 a.example.org.", "10 0 8081 b.example.org.", "20 1 80 c.example.org."]
    }
    a, b, c = await stage.read(name=SERVICE, srv=True)
    assert (a.id, a.address, a.port, a.weight, a.priority) == ("a.example.org:8080", "a.example.org", 8080, 5, 10)
    assert 0 < b.weight < 0.1
    assert (c.port, c.priority) == (80, 20)


async def test_a_service_that_is_decidedly_not_there_has_no_endpoints(stage: Stage) -> None:
    stage.zone.records = {(SERVICE, "SRV"): ["0 0 0 ."]}
    assert await stage.read(name=SERVICE, srv=True) == []


async def test_it_is_asked_again_when_the_time_to_live_is_over(stage: Stage) -> None:
    stage.zone.records = {(NAME, "A"): ["10.0.0.1"]}
    async with stage.discovery():
        await until(lambda: stage.ids() == ["10.0.0.1:80"])
        stage.zone.records = {(NAME, "A"): ["10.0.0.2"]}
        asked = len(stage.zone.asked)
        await until(lambda: stage.clock.waiting)
        stage.clock.advance(29.0)
        assert len(stage.zone.asked) == asked
        stage.clock.advance(1.0)
        await until(lambda: stage.ids() == ["10.0.0.2:80"])


@pytest.mark.parametrize(("ttl", "kept"), [(0, 5.0), (7, 7.0), (86_400, 20.0)])
async def test_the_time_to_live_is_kept_within_bounds(stage: Stage, ttl: int, kept: float) -> None:
    stage.zone.records = {(NAME, "A"): ["10.0.0.1"]}
    stage.zone.ttl = ttl
    async with stage.discovery(soonest=5.0, latest=20.0):
        await until(lambda: stage.clock.waiting)
        asked = len(stage.zone.asked)
        stage.clock.advance(kept - 0.5)
        assert stage.clock.waiting
        assert len(stage.zone.asked) == asked
        stage.clock.advance(0.5)
        await until(lambda: len(stage.zone.asked) == 2 * asked)


@pytest.mark.parametrize("fault", ["gone", "refused", "empty"])
async def test_a_name_that_is_gone_is_an_outage_and_what_is_known_stays(stage: Stage, fault: str) -> None:
    stage.zone.records = {(NAME, "A"): ["10.0.0.1"]}
    async with stage.discovery():
        await until(lambda: stage.ids() and stage.clock.waiting)
        before = len(stage.zone.asked)
        if fault == "refused":
            stage.zone.rcode = dns.rcode.SERVFAIL
        stage.zone.records = {(NAME, "TXT"): ["x"]} if fault == "empty" else {}
        stage.clock.advance(30.0)
        await until(lambda: len(stage.zone.asked) > before and stage.clock.waiting)
        assert stage.ids() == ["10.0.0.1:80"]
        stage.zone.rcode = dns.rcode.NOERROR
        stage.zone.records = {(NAME, "A"): ["10.0.0.3"]}
        stage.clock.advance(30.0)
        await until(lambda: stage.ids() == ["10.0.0.3:80"])


async def test_stopped_at_any_moment_it_ends(stage: Stage) -> None:
    stage.zone.records = {(NAME, "A"): ["10.0.0.1"]}
    for turns in range(80):
        discovery = stage.discovery()
        discovery.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await until(asyncio.ensure_future(discovery.stop()).done, seconds=30)
    assert stage.ids() == ["10.0.0.1:80"], "the answer came before the last of them"


async def test_a_server_that_says_nothing_is_unavailable_when_time_is_up(stage: Stage) -> None:
    stage.zone.silent = True
    with pytest.raises(Unavailable, match="expired after"):
        async with asyncio.timeout(4):  # it is 5 s where nothing else is said
            await stage.read(timeout=0.2)


async def test_a_name_without_services_is_unavailable(stage: Stage) -> None:
    stage.zone.records = {(SERVICE, "TXT"): ["x"]}
    with pytest.raises(Unavailable, match="no SRV records"):
        await stage.read(name=SERVICE, srv=True)


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"soonest": 0.0}, {"latest": 0.5}, {"latest": float("inf")}, {"timeout": 0.0}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        DnsService(**({"name": NAME} | wrong))
