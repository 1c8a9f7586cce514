"""When endpoints are checked: each at its interval, never twice at the same time, until the monitor stops."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.failover import Endpoint, EndpointPool, HealthCheck, HealthMonitor, HealthStatus, NotFound, PoolOptions
from holdfast.testing.clock import FakeClock
from tests.support.checked import http, server
from tests.support.polling import until
from tests.support.pools import BAD, GOOD


class Patient:
    """Endpoints whose checks are counted, and found as the test says, on a clock that the test moves."""

    def __init__(self, *names: str, **more: Any) -> None:
        self.clock = FakeClock()
        self.looks: list[str] = []
        self.found: dict[str, HealthStatus] = {}
        check = HealthCheck(how=self.look, interval=10.0, timeout=2.0, healthy_threshold=1, unhealthy_threshold=2)
        self.pool = EndpointPool("x", clock=self.clock, options=PoolOptions(health_check=check))
        for name in names:
            self.pool.register(Endpoint(name, "10.0.0.1", 80))
        self.monitor = HealthMonitor(self.pool, rng=lambda: 0.5, **more)

    async def look(self, endpoint: Endpoint) -> HealthStatus:
        self.looks.append(endpoint.id)
        return self.found.get(endpoint.id, GOOD)

    async def passes(self, seconds: float) -> None:
        """Let time pass in small steps, and whatever is due happen."""
        for _ in range(round(seconds * 2)):
            await self.settle()
            self.clock.advance(0.5)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


async def test_each_endpoint_is_checked_at_once_and_then_at_its_interval() -> None:
    patient = Patient("a", "b")
    async with patient.monitor:
        await patient.settle()
        assert sorted(patient.looks) == ["a", "b"]
        await patient.passes(9.5)
        assert len(patient.looks) == 2
        await patient.passes(1.0)
        assert sorted(patient.looks) == ["a", "a", "b", "b"]
        await patient.passes(90.0)
    assert patient.looks.count("a") == patient.looks.count("b") == 11
    assert patient.pool.status("a") is GOOD


async def test_an_endpoint_that_falls_ill_is_not_asked_until_it_is_well_again() -> None:
    patient = Patient("a", "b")
    async with patient.monitor:
        await patient.settle()
        patient.found["a"] = BAD
        await patient.passes(11.0)
        assert {patient.pool.select().id for _ in range(4)} == {"a", "b"}
        await patient.passes(10.0)
        assert {patient.pool.select().id for _ in range(4)} == {"b"}
        patient.found["a"] = GOOD
        await patient.passes(10.0)
        assert {patient.pool.select().id for _ in range(4)} == {"a", "b"}


async def test_who_comes_goes_or_moves_is_noticed_within_a_second() -> None:
    patient = Patient("a")
    async with patient.monitor:
        await patient.passes(3.0)
        patient.pool.register(Endpoint("b", "10.0.0.1", 80))
        patient.pool.deregister("a")
        await patient.passes(1.0)
        assert patient.looks == ["a", "b"]
        patient.pool.update(Endpoint("b", "10.0.0.2", 80))
        await patient.passes(1.0)
        assert patient.looks == ["a", "b", "b"]
        await patient.passes(30.0)
        assert set(patient.looks[2:]) == {"b"}


async def test_a_hanging_check_ends_at_its_timeout_and_no_second_one_runs_beside_it() -> None:
    patient = Patient("a")
    running = most = 0

    async def hang(_endpoint: Endpoint) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.Event().wait()
        finally:
            running -= 1

    check = HealthCheck(how=hang, interval=0.5, timeout=2.0)
    patient.pool.update(Endpoint("a", "10.0.0.1", 80, health_check=check))
    async with patient.monitor:
        await patient.passes(2.5)
        assert patient.pool.status("a") is BAD
        await patient.passes(20.0)
    assert most == 1
    assert running == 0


async def test_no_more_checks_run_at_the_same_time_than_allowed() -> None:
    patient = Patient(*[f"e{number}" for number in range(10)], concurrency=3)
    running = most = 0

    async def slow(_endpoint: Endpoint) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await patient.clock.sleep(1.0)
        running -= 1

    patient.pool.configure(options=PoolOptions(health_check=HealthCheck(how=slow, interval=60.0)))
    async with patient.monitor:
        await patient.passes(8.0)
    assert most == 3
    assert {patient.pool.status(each.id) for each in patient.pool.list()} == {GOOD}


async def test_stopped_it_leaves_no_check_running_and_can_start_again() -> None:
    patient = Patient("a")
    patient.monitor.start()
    patient.monitor.start()
    await patient.settle()
    await patient.monitor.stop()
    await patient.monitor.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await patient.passes(60.0)
    assert patient.looks == ["a"]
    async with patient.monitor:
        await patient.settle()
    assert patient.looks == ["a", "a"]


async def test_endpoints_can_be_checked_by_hand() -> None:
    patient = Patient("a", "b")
    patient.found["b"] = BAD
    assert (await patient.monitor.check("a")).status is GOOD
    assert await patient.monitor.check_all() == {"a": GOOD, "b": BAD}
    with pytest.raises(NotFound, match="no endpoint 'z' with a health check"):
        await patient.monitor.check("z")


async def test_a_new_check_takes_effect_while_it_runs() -> None:
    patient = Patient("a")
    async with patient.monitor:
        await patient.settle()
        patient.pool.configure(options=PoolOptions(health_check=HealthCheck(how=patient.look, interval=0.5)))
        await patient.passes(5.0)
        assert len(patient.looks) > 6
        patient.pool.configure(options=PoolOptions())
        await patient.passes(2.0)
        count = len(patient.looks)
        await patient.passes(20.0)
        assert len(patient.looks) == count


async def test_a_real_server_that_dies_and_comes_back_is_noticed() -> None:
    check = HealthCheck(interval=0.02, timeout=0.5, healthy_threshold=1, unhealthy_threshold=1)
    async with server(http("200 OK")) as endpoint:
        pool = EndpointPool("x", [endpoint], options=PoolOptions(health_check=check))
        async with HealthMonitor(pool):
            await until(lambda: pool.status("a") is GOOD)
    async with HealthMonitor(pool):
        await until(lambda: pool.status("a") is BAD)
