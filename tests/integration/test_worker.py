"""The worker and the sweeper as processes, on real servers, while one after the other is lost."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from adapters.assembly import Role
from adapters.celery_app import TASK, BrokerOptions, make_app
from holdfast.operations.model import State
from tests.support.workers import (
    Program,
    Site,
    all_applied_once_and_in_order,
    backlog,
    eventually,
    hold,
    now,
    running_site,
    settled,
    some_settled,
    until_running,
)

# Slows a replay down, so that there is a middle of it to do something in.
SLOW = {"replay_batch": 16, "replay_rest": 60, "lease_ttl": 2}


@pytest.fixture(scope="module")
def shared_site() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """Servers that run at the beginning and at the end, with nothing in them but tables; programs end with the test."""
    for server in (shared_site.valkey, shared_site.broker):
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
    yield shared_site
    while shared_site.programs:
        shared_site.programs.pop().kill()
    for server in (shared_site.postgres, shared_site.valkey, shared_site.broker):
        server.thaw()
        server.start()


async def test_what_is_held_is_replayed_in_order_whatever_else_lies_in_the_queue(site: Site) -> None:
    worker = site.start().until_ready()
    litter(site.broker.url)
    async with site.system(Role.API, backup_sweep_interval=0.2) as system:
        await all_applied_once_and_in_order(system, await hold(system, mailboxes=300, each=3))
    assert "Connection to broker lost" not in worker.log()


async def test_a_pickled_message_is_not_opened_and_stops_nothing(site: Site, tmp_path: Path) -> None:
    proof = tmp_path / "opened"
    worker = site.start().until_ready()
    app = make_app(BrokerOptions(site.broker.url))
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for header in ({}, {"task": TASK, "id": "1"}):
            producer.publish(_Opens(proof), serializer="pickle", routing_key="holdfast", headers=header)
    await eventually(lambda: worker.log().count("application/x-python-serialize") >= 2, "both messages were refused")
    async with site.system(Role.API, backup_sweep_interval=0.2) as system:
        await all_applied_once_and_in_order(system, await hold(system, mailboxes=20))
    assert not proof.exists()


class _Opens:
    """Whoever unpickles it makes this file."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self._proof,)


def litter(url: str) -> None:
    """Messages that are none of ours, more than a worker has places for."""
    app = make_app(BrokerOptions(url))
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        for arguments in [(7,), (None,), ("notes/1",), (["notes"], 8), ()]:
            app.send_task(TASK, arguments, producer=producer)
        app.send_task("unknown", (), producer=producer)
        app.send_task(TASK, (), {"strange": 1}, producer=producer)
        for body, kind in [(b"{", "application/json"), (b"\x80", "application/x-python-serialize")]:
            producer.publish(
                body,
                routing_key="holdfast",
                content_type=kind,
                content_encoding="utf-8" if kind.endswith("json") else "binary",
                headers={"task": TASK, "id": "1"},
            )


async def test_a_worker_that_starts_before_its_servers_works_once_they_are_there(site: Site) -> None:
    async with site.system() as system:
        jobs = await hold(system, mailboxes=10)
    for server in (site.postgres, site.valkey, site.broker):
        server.kill()
    worker, sweeper = site.start("worker"), site.start("worker.sweeper").until_ready()
    await eventually(lambda: "Cannot connect" in worker.log(), "the worker has tried the broker")
    for server in (site.broker, site.valkey, site.postgres):
        server.start()
    await eventually(lambda: worker.ready, "the worker is ready")
    async with site.system() as system:
        await all_applied_once_and_in_order(system, jobs)
    assert worker.running
    assert sweeper.running


@pytest.mark.parametrize("loss", ["killed", "frozen"])
async def test_a_worker_consumes_again_after_its_broker_was_lost_in_the_middle_of_replays(
    site: Site, loss: str
) -> None:
    worker = site.start("worker", replay_slice=2, **SLOW).until_ready()
    async with site.system(Role.API, backup_sweep_interval=0.2, workers_silent_after=1000) as system:
        jobs = await hold(system, mailboxes=400)
        await some_settled(system, jobs)
        site.broker.kill() if loss == "killed" else site.broker.freeze()
        await eventually(lambda: "Connection to broker lost" in worker.log(), "the worker has noticed")
        site.broker.start() if loss == "killed" else site.broker.thaw()
        await eventually(lambda: worker.log().count("Connected to") > 1, "the worker is connected again")
        await all_applied_once_and_in_order(system, await hold(system, mailboxes=20))
    await eventually(lambda: len(worker.children()) == 2, "no child is missing")


async def test_a_child_killed_in_the_middle_of_a_replay_is_replaced_and_nothing_is_done_twice(site: Site) -> None:
    worker = site.start("worker", **SLOW).until_ready()
    async with site.system(Role.API, backup_sweep_interval=0.2) as system:
        jobs = await hold(system, mailboxes=300)
        for _ in range(3):
            await some_settled(system, jobs)
            await eventually(lambda: kill_one(worker), "a child is killed")
        await eventually(lambda: len(worker.children()) == 2, "the children are replaced")
        await all_applied_once_and_in_order(system, jobs)


def kill_one(worker: Program) -> bool:
    """Whether a child was there to be killed."""
    for child in worker.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                child.kill()
                return True
    return False


async def test_a_child_that_is_slow_to_begin_is_not_killed_for_it(site: Site) -> None:
    worker = site.start().until_ready()
    known = {child.pid for child in worker.children()}
    worker.children()[0].kill()
    await eventually(lambda: {child.pid for child in worker.children()} - known, "another child is born")
    newborn = next(child for child in worker.children() if child.pid not in known)
    newborn.suspend()
    longer = time.monotonic() + 6.0
    await eventually(lambda: time.monotonic() > longer or not newborn.is_running(), "Celery waits no longer by default")
    assert newborn.is_running(), worker.log()
    newborn.resume()


async def test_a_worker_killed_in_the_middle_of_a_replay_leaves_its_work_to_the_next(site: Site) -> None:
    first = site.start("worker", **SLOW).until_ready()
    async with site.system(Role.API, backup_sweep_interval=0.2) as system:
        jobs = await hold(system, mailboxes=300)
        await some_settled(system, jobs)
        first.kill()
        site.start("worker").until_ready()
        await all_applied_once_and_in_order(system, jobs)


async def test_a_worker_that_is_asked_to_end_does_not_wait_for_the_end_of_its_work(site: Site) -> None:
    worker = site.start("worker", replay_slice=100, replay_lanes=1, **SLOW).until_ready()
    async with site.system(Role.API, backup_sweep_interval=0.2) as system:
        jobs = await hold(system, mailboxes=1000)
        await some_settled(system, jobs)
        began = time.monotonic()
        assert worker.terminate() == 0
        assert time.monotonic() - began < 18, "it was not cut off after the 20 s that Celery waits"
        assert not worker.ready
        assert await backlog(system) > 0
        site.start("worker").until_ready()
        await all_applied_once_and_in_order(system, jobs)


@pytest.mark.parametrize("times", [1, 2])
async def test_ctrl_c_ends_a_worker_as_sigterm_does(site: Site, times: int) -> None:
    worker = site.start("worker", lease_ttl=300).until_ready()
    async with site.system(Role.API, backup_sweep_interval=0.2) as system:
        site.postgres.freeze()
        jobs = await hold(system, mailboxes=10)
        await until_running(system, jobs)
        for _ in range(times - 1):
            worker.signal(signal.SIGINT, group=True)
            await eventually(lambda: "Warm shutdown" in worker.log(), "it has heard")
        assert worker.terminate(signal.SIGINT, group=True) == 0, worker.log()
        assert State.RUNNING not in {job.state for job in await now(system, jobs)}, "leases are given back"
        assert "Bad file descriptor" not in worker.log()
        assert not worker.ready


async def test_ctrl_c_ends_a_worker_that_has_never_reached_its_broker(site: Site) -> None:
    site.broker.kill()
    worker = site.start("worker")
    await eventually(lambda: "Cannot connect" in worker.log(), "it has tried")
    assert worker.terminate(signal.SIGINT, group=True) == 0, worker.log()


@pytest.mark.parametrize("group", [False, True], ids=["the parent alone", "every process of it"])
async def test_a_worker_that_is_asked_to_end_while_its_store_hangs_gives_its_leases_back(
    site: Site, group: bool
) -> None:
    worker = site.start("worker", lease_ttl=300).until_ready()
    async with site.system(Role.API, backup_sweep_interval=0.2) as system:
        await all_applied_once_and_in_order(system, await hold(system, mailboxes=10))
        site.postgres.freeze()
        jobs = await hold(system, mailboxes=10)
        await until_running(system, jobs)
        assert worker.terminate(group=group) == 0
        assert State.RUNNING not in {job.state for job in await now(system, jobs)}
        site.postgres.thaw()
        site.start("worker").until_ready()
        await all_applied_once_and_in_order(system, jobs)


async def test_where_the_broker_is_down_the_sweeper_replays_by_itself(site: Site) -> None:
    site.start("worker").until_ready()
    sweeper = site.start("worker.sweeper").until_ready()
    site.broker.kill()
    async with site.system() as system:
        await all_applied_once_and_in_order(system, await hold(system, mailboxes=50))
    assert "replaying here: the workers cannot be told" in sweeper.log()


async def test_where_no_worker_comes_the_sweeper_replays_by_itself(site: Site) -> None:
    sweeper = site.start("worker.sweeper", workers_silent_after=1).until_ready()
    async with site.system() as system:
        await all_applied_once_and_in_order(system, await hold(system, mailboxes=50))
    assert "replaying here: the workers do not come" in sweeper.log()


async def test_a_broker_that_is_emptied_strands_nothing(site: Site) -> None:
    async with site.system() as system:
        jobs = await hold(system, mailboxes=50)
    with redis.Redis.from_url(site.broker.url) as broker:
        broker.flushall()
    site.start("worker").until_ready()
    site.start("worker.sweeper", workers_silent_after=1000).until_ready()
    async with site.system() as system:
        await all_applied_once_and_in_order(system, jobs)


@pytest.mark.parametrize("loss", ["killed", "frozen"])
async def test_a_store_lost_in_the_middle_of_a_replay_gets_each_operation_once(site: Site, loss: str) -> None:
    worker = site.start("worker", **SLOW).until_ready()
    site.start("worker.sweeper").until_ready()
    async with site.system() as system:
        jobs = await hold(system, mailboxes=300)
        await some_settled(system, jobs)
        site.postgres.kill() if loss == "killed" else site.postgres.freeze()
        jobs += await hold(system, mailboxes=20)  # so that there is something to notice it by, however quick it was
        await eventually(lambda: "the replay stops here" in worker.log(), "the worker has noticed")
        site.postgres.start() if loss == "killed" else site.postgres.thaw()
        await all_applied_once_and_in_order(system, jobs)
        assert {job.attempts for job in await settled(system, jobs)} == {0}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_sweeper_that_is_asked_to_end_does_so_and_leaves_no_ready_file(site: Site, number: int) -> None:
    sweeper = site.start("worker.sweeper").until_ready()
    assert sweeper.terminate(number) == 0
    assert not sweeper.ready
