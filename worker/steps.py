"""What worker and consumer do besides Celery's own steps, and what they leave out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from celery import bootsteps
from celery.worker.components import Pool
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.consumer import Tasks
from kombu.entity import Queue

# Seconds between two tries to reach the broker, at most; Celery's own pause grows to half a minute.
_RECONNECT = 8.0


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Without the 28 queues that Celery declares in RabbitMQ for delayed messages: there are none."""

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = partial(conn.ensure_connection, interval_max=_RECONNECT)
        return super().ensure_connected(conn)

    class Blueprint(CeleryConsumer.Blueprint):  # type: ignore[misc]
        default_steps = tuple(step for step in CeleryConsumer.Blueprint.default_steps if "delayed_delivery" not in step)


class NoRestoring(bootsteps.StartStopStep):  # type: ignore[misc]
    """Redis: a message at hand when the connection ends is not put back, nor dumped into a file; the sweeper rings."""

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        consumer.task_consumer.channel.do_restore = False


def declaring(queue: Queue) -> type[bootsteps.StartStopStep]:
    """A step that has the broker know `queue` and its exchange."""

    class Declaring(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = (Tasks,)

        def start(self, consumer: Any) -> None:
            queue(consumer.connection.default_channel).declare()  # type: ignore[no-untyped-call]

    return Declaring


def with_children(begin: Callable[[], None]) -> type[bootsteps.StartStopStep]:
    """A step that calls `begin` in the parent once the pool has its children, whether the broker is there or not."""

    class Beginning(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = (Pool,)

        def start(self, _worker: Any) -> None:
            begin()

    return Beginning
