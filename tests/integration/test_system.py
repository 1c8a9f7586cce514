"""A process's view of its servers, real ones, as each is killed or frozen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis

from adapters.assembly import Role, System, assemble
from adapters.celery_app import TASK
from adapters.settings import Settings
from holdfast.health import Status
from holdfast.operations.model import Applied
from holdfast.operations.write import Accepted
from tests.support.engine import operation
from tests.support.polling import until_seen
from tests.support.processes import Server
from tests.support.servers import running_valkey
from tests.support.workers import Site, eventually, running_site

# Hundreds of writes, one after the other, on a machine that has much else to do.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def shared_site() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    yield shared_site
    for server in (shared_site.postgres, shared_site.valkey, shared_site.broker):
        server.thaw()
        server.start()


def server(site: Site, name: str) -> Server:
    return {"store": site.postgres, "ledger": site.valkey, "broker": site.broker}[name]


@pytest.mark.parametrize("name", ["store", "broker"])
@pytest.mark.parametrize("loss", ["killed", "frozen"])
async def test_health_names_the_server_that_is_lost_and_asks_the_others_within_the_timeout(
    site: Site, name: str, loss: str
) -> None:
    short = {f"{name}_timeout": 0.5}
    async with site.system(**({"broker_timeout": 10} | short)) as system:

        async def all_are_well() -> bool:
            return {found.status for found in (await system.health()).values()} == {Status.HEALTHY}

        await until_seen(all_are_well)
        server(site, name).kill() if loss == "killed" else server(site, name).freeze()
        async with asyncio.timeout(8):
            found = await system.health()
        lost = {each for each, result in found.items() if result.status is Status.UNHEALTHY}
        assert lost == {name}
        assert found[name].error


@pytest.mark.parametrize(
    ("lost", "ready"),
    [((), True), (("store",), True), (("ledger",), True), (("broker",), True), (("store", "ledger"), False)],
)
@pytest.mark.parametrize("loss", ["killed", "frozen"])
async def test_a_process_is_ready_while_the_store_or_the_ledger_can_take_a_write(
    site: Site, lost: tuple[str, ...], ready: bool, loss: str
) -> None:
    async with site.system(**{f"{name}_timeout": 0.5 for name in lost}) as system:
        for name in lost:
            server(site, name).kill() if loss == "killed" else server(site, name).freeze()
        async with asyncio.timeout(8):
            assert await system.ready() is ready


async def test_a_ledger_that_may_forget_makes_nobody_ready(site: Site) -> None:
    with running_valkey("--save", "") as forgetful:
        async with site.system(ledger_url=forgetful.url) as system:
            assert await system.ready()
            site.postgres.kill()
            assert not await system.ready()


@pytest.mark.parametrize("loss", ["killed", "frozen"])
async def test_a_lost_broker_delays_no_write(site: Site, loss: str) -> None:
    async with site.system(Role.API, backup_sweep_interval=0.1, broker_timeout=10) as system:
        await warm(system)
        site.broker.kill() if loss == "killed" else site.broker.freeze()
        for number in range(100):
            async with asyncio.timeout(8):
                held = await system.writer.write(operation(resource=f"held/{loss}{number}"), hold_at_once=True)
                direct = await system.writer.write(operation(resource=f"direct/{loss}{number}"))
            assert isinstance(held, Accepted)
            assert isinstance(direct, Applied)
        site.broker.thaw()


async def test_the_settings_reach_the_queue(site: Site) -> None:
    with redis.Redis.from_url(site.broker.url) as broker:
        async with site.system(Role.API, broker_queue="another", backup_sweep_interval=0.2) as system:
            await system.writer.write(operation(resource="queue/1"), hold_at_once=True)
            await eventually(lambda: broker.llen("another"), "a message is there")
        assert TASK.encode() in broker.lrange("another", 0, -1)[0]


async def warm(system: System) -> None:
    """Connections are made."""
    await asyncio.gather(system.health(), system.writer.write(operation(resource="warm/1")))


def test_a_system_is_made_while_every_server_is_away() -> None:
    nowhere = "redis://127.0.0.1:1/0"
    settings = Settings(
        store="postgres",
        postgres_url="postgresql://127.0.0.1:1/none",
        ledger_url=nowhere,
        cache_url=nowhere,
        broker_url=nowhere,
    )
    assemble(settings)
