"""Discovery by Consul, against a server that speaks its API, and against Consul itself where it is found."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.discovery_consul import ConsulService, consul
from holdfast.backoff import constant
from holdfast.errors import Unavailable
from holdfast.failover import AuthFailed, Discovery, EndpointPool, HealthStatus, Invalid, Throttled
from holdfast.ratelimit import Rate
from holdfast.testing.clock import FakeClock
from tests.support.asgi import serving
from tests.support.consul import Consul, instance
from tests.support.polling import until, until_seen
from tests.support.processes import free_port

FAST = Rate(1000, burst=100)


class Stage:
    """A pool that follows a service of a local Consul."""

    def __init__(self, server: Consul, port: int) -> None:
        self.server = server
        self.port = port
        self.pool = EndpointPool("redis")

    def service(self, **options: Any) -> ConsulService:
        defaults: dict[str, Any] = {"url": f"http://127.0.0.1:{self.port}", "rate": FAST}
        return ConsulService("redis", **(defaults | options))

    def discovery(self, **options: Any) -> Discovery:
        return Discovery(self.pool, consul(self.service(**options)), backoff=constant(0.02))

    def ids(self) -> list[str]:
        return [endpoint.id for endpoint in self.pool.list()]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    server = Consul()
    async with serving(server) as port:
        yield Stage(server, port)


async def test_instances_come_with_address_health_tags_metadata_and_weight(stage: Stage) -> None:
    stage.server.change(
        instance("well", "passing", "passing"),
        instance("slow", "passing", "warning"),
        instance("ill", "warning", "critical"),
        instance("unchecked", Address="", Tags=None, Meta=None, Weights=None),
    )
    async with stage.discovery() as discovery:
        await discovery.ready()
        well = stage.pool.get("node-1/well")
        slow, unchecked = stage.pool.get("node-1/slow"), stage.pool.get("node-1/unchecked")
        statuses = [stage.pool.status(f"node-1/{name}") for name in ("well", "slow", "ill", "unchecked")]
    assert (well.url, well.weight, well.tags) == ("http://10.1.10.13:8000", 10, frozenset({"primary"}))
    assert well.metadata == {
        "node": "node-1",
        "datacenter": "dc1",
        "instance_type": "t2.medium",
        "redis_version": "4.0",
    }
    assert slow.weight == 1
    assert (unchecked.address, unchecked.weight, unchecked.tags) == ("10.1.10.12", 1, frozenset())
    healthy, degraded, unhealthy = HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY
    assert statuses == [healthy, degraded, unhealthy, healthy]


async def test_a_change_is_known_at_once_and_nobody_polls_meanwhile(stage: Stage) -> None:
    stage.server.change(instance("a", "passing"))
    async with stage.discovery():
        await until(lambda: stage.server.hanging)
        assert stage.server.queries == [{}, {"index": "11", "wait": "60s"}]
        stage.server.change(instance("a", "passing"), instance("b", "passing"))
        await until(lambda: stage.ids() == ["node-1/a", "node-1/b"])
        await until(lambda: stage.server.hanging)
        assert stage.server.queries[2:] == [{"index": "12", "wait": "60s"}]


async def test_a_query_whose_time_is_up_without_a_change_is_asked_again(stage: Stage) -> None:
    async with stage.discovery(wait=1):
        await until(lambda: len(stage.server.queries) >= 3)
    assert stage.server.queries[1:3] == [{"index": "10", "wait": "1s"}] * 2


async def test_an_index_that_goes_backwards_starts_over(stage: Stage) -> None:
    async with stage.discovery():
        await until(lambda: stage.server.hanging)
        stage.server.change(instance("a", "passing"), index=3)
        await until(lambda: len(stage.server.queries) >= 4)
        await until(lambda: stage.server.hanging)
    assert stage.server.queries[1:4] == [{"index": "10", "wait": "60s"}, {}, {"index": "3", "wait": "60s"}]


async def test_an_index_of_nothing_makes_no_busy_loop(stage: Stage) -> None:
    stage.server.index = 0
    async with stage.discovery():
        await until(lambda: stage.server.hanging)
    assert stage.server.queries[1:] == [{"index": "1", "wait": "60s"}]


async def test_answers_that_come_thick_and_fast_are_slowed_down(stage: Stage) -> None:
    clock = FakeClock()
    stage.server.busy = True
    source = consul(stage.service(rate=Rate(1, period=15.0, burst=2)), clock=clock)
    async with Discovery(stage.pool, source):
        for expected in (2, 3, 4):
            await until(lambda: clock.waiting)
            assert len(stage.server.queries) == expected
            clock.advance(15.0)


async def test_what_is_asked_for_reaches_consul(stage: Stage) -> None:
    asked = {"token": "secret", "datacenter": "dc2", "tags": ('v"1', "eu"), "where": 'Node.Meta.rack == "7"'}
    async with stage.discovery(**asked):
        await until(lambda: stage.server.queries)
    query = stage.server.queries[0]
    assert query["dc"] == "dc2"
    assert query["filter"] == '"v\\"1" in Service.Tags and "eu" in Service.Tags and (Node.Meta.rack == "7")'
    assert stage.server.headers["x-consul-token"] == "secret"


async def test_a_name_is_quoted_in_the_path(stage: Stage) -> None:
    source = consul(ConsulService("a/b c", url=f"http://127.0.0.1:{stage.port}"))()
    await anext(source)
    await source.aclose()
    assert stage.server.path == "/v1/health/service/a%2Fb%20c"


async def test_while_consul_is_away_its_last_word_holds_and_afterwards_its_next() -> None:
    server = Consul()
    server.change(instance("a", "passing"))
    port = free_port()
    async with serving(server, port=port):
        stage = Stage(server, port)
        discovery = stage.discovery()
        discovery.start()
        await discovery.ready()
    assert stage.ids() == ["node-1/a"]
    server.change(instance("b", "passing"), index=2)
    async with serving(server, port=port):
        await until(lambda: stage.ids() == ["node-1/b"])
        await discovery.stop()


@pytest.mark.parametrize(
    ("code", "error"),
    [(403, AuthFailed), (401, AuthFailed), (429, Throttled), (400, Invalid), (500, Unavailable), (503, Unavailable)],
)
async def test_refusals_are_typed(stage: Stage, code: int, error: type[Exception]) -> None:
    stage.server.fault = code
    source = consul(stage.service())()
    with pytest.raises(error, match=str(code)):
        await anext(source)


async def test_nobody_there_is_unavailable() -> None:
    source = consul(ConsulService("redis", url="http://127.0.0.1:1"))()
    with pytest.raises(Unavailable):
        await anext(source)


async def test_an_instance_that_makes_no_sense_is_left_out(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.server.change(
        instance("a", "passing"), instance("portless", Port=0), instance("lost", Meta={"latitude": "x"}), {}, 7
    )
    async with stage.discovery() as discovery:
        await discovery.ready()
        assert stage.ids() == ["node-1/a", "node-1/lost"]
    assert len([record for record in caplog.records if record.message.startswith("left out")]) == 3


async def test_stopped_it_hangs_up(stage: Stage) -> None:
    discovery = stage.discovery()
    discovery.start()
    await until(lambda: stage.server.hanging)
    await discovery.stop()
    await until(lambda: not stage.server.hanging)


@pytest.mark.parametrize("wrong", [{"name": ""}, {"wait": 0.5}, {"wait": 601}])
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        ConsulService(**({"name": "redis"} | wrong))


@pytest.mark.skipif(shutil.which("consul") is None, reason="Consul itself is not installed")
async def test_consul_itself_is_followed(tmp_path: Path) -> None:
    port = free_port()
    command = ["consul", "agent", "-dev", "-client=127.0.0.1", "-bind=127.0.0.1", f"-http-port={port}"]
    ports = ["-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1", f"-server-port={free_port()}"]
    serf = [f"-serf-lan-port={free_port()}", f"-serf-wan-port={free_port()}"]
    with (tmp_path / "log").open("w") as log:
        agent = await asyncio.create_subprocess_exec(*command, *ports, *serf, stdout=log)
        try:
            await _follow(f"http://127.0.0.1:{port}")
        finally:
            agent.terminate()
            await agent.wait()


async def _follow(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as client:

        async def led() -> bool:
            try:
                return bool((await client.get("/v1/status/leader")).json())
            except (httpx.TransportError, json.JSONDecodeError):
                return False

        await until_seen(led, "Consul has a leader")
        pool = EndpointPool("web")
        async with Discovery(pool, consul(ConsulService("web", url=url, tags=("blue",)))):
            described = {"Name": "web", "ID": "web-1", "Port": 81, "Address": "10.0.0.1", "Tags": ["blue"]}
            (await client.put("/v1/agent/service/register", json=described)).raise_for_status()
            await until(lambda: [endpoint.port for endpoint in pool.list()] == [81])
            (await client.put("/v1/agent/service/deregister/web-1")).raise_for_status()
            await until(lambda: pool.list() == ())
