"""The same worker with RabbitMQ as its broker: nothing but the URL is another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery
from kombu import Connection, Message

from adapters.assembly import Role
from adapters.celery_app import TASK, BrokerOptions, dead_letters, make_app, sending
from adapters.celery_doorbell import CeleryDoorbell
from holdfast.errors import Rejected, Transient
from holdfast.operations.model import Resource
from tests.support.polling import until_seen
from tests.support.processes import wait_until
from tests.support.rabbitmq import running_rabbitmq
from tests.support.workers import Site, all_applied_once_and_in_order, eventually, hold, running_site

# RabbitMQ is slow to start on a machine that has much else to do.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_site(running_rabbitmq()) as site:
        yield site


def queues(site: Site) -> set[str]:
    """Those of a worker that exist, of all that Celery might have made."""
    app = make_app(BrokerOptions(site.broker.url))
    names = ["holdfast", "holdfast.dead", *(f"celery_delayed_{number}" for number in range(28))]
    with app.connection_for_write() as connection:
        return {name for name in names if exists(connection, name)}


def exists(connection: Connection, name: str) -> bool:
    channel = connection.channel()
    try:
        channel.queue_declare(name, passive=True)
    except connection.channel_errors:
        return False
    channel.close()
    return True


async def test_a_worker_on_rabbitmq_replays_and_makes_no_queue_but_its_own_and_the_one_for_dead_letters(
    site: Site,
) -> None:
    site.start("worker").until_ready()
    async with site.system(Role.API, backup_sweep_interval=0.2) as system:
        await all_applied_once_and_in_order(system, await hold(system, mailboxes=200))
    assert queues(site) == {"holdfast", "holdfast.dead"}


async def test_a_worker_consumes_again_after_rabbitmq_was_frozen_and_after_it_was_restarted(site: Site) -> None:
    worker = site.programs[-1]
    async with site.system(Role.API, backup_sweep_interval=0.2) as system:
        site.broker.freeze()
        jobs = await hold(system, mailboxes=20)
        site.broker.thaw()
        await all_applied_once_and_in_order(system, jobs)
        site.broker.stop()
        await eventually(lambda: "Connection to broker lost" in worker.log(), "the worker has noticed")
        site.broker.start()
        await all_applied_once_and_in_order(system, await hold(system, mailboxes=20))
    assert worker.terminate() == 0


async def test_a_frozen_rabbitmq_holds_up_neither_caller_nor_sender(site: Site) -> None:
    options = BrokerOptions(site.broker.url, timeout=1.0)
    told: list[str] = []
    bell = CeleryDoorbell(make_app(options), TASK, sending(options), listener=lambda event: told.append(event.name))

    async def rings() -> bool:
        await bell.ring([Resource("notes", "1")])
        return True

    await until_seen(rings, "its connection is made")
    told.clear()
    site.broker.freeze()
    try:
        with pytest.raises((Transient, Rejected)):
            await bell.ring([Resource("notes", "2")])
        await eventually(lambda: "doorbell.lost" in told, "the sender has given up")
    finally:
        site.broker.thaw()
        await bell.close()


def test_a_message_that_is_given_back_too_often_becomes_a_dead_letter(site: Site) -> None:
    """As one is whose worker dies each time."""
    options = BrokerOptions(site.broker.url, queue="poisoned", delivery_limit=2)
    app: Celery = make_app(options)
    with app.connection_for_write() as connection:
        channel = connection.channel()
        dead = dead_letters(options)(channel)
        dead.declare()
        queue = app.amqp.queues["poisoned"](channel)
        queue.declare()
        app.amqp.Producer(channel).publish([["notes/1"], {}, {}], routing_key="poisoned")
        deliveries, letters = 0, list[Message]()

        def is_dead() -> bool:
            nonlocal deliveries
            if message := queue.get():
                message.reject(requeue=True)
                deliveries += 1
            letters.extend(filter(None, [dead.get()]))
            return bool(letters)

        wait_until(is_dead, "it becomes a dead letter")
        assert deliveries == 3
        assert letters[0].payload == [["notes/1"], {}, {}]
