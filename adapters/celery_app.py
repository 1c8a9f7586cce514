"""The Celery application: one task, which takes resource keys, on one queue.

A message may be lost, doubled, late or out of order without harm, since the ledger is the truth. What is set here
keeps that true and keeps a worker consuming whatever happens to its broker; `docs/explanation/worker.md` says how.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu.entity import Exchange, Queue

from .tls import TlsFiles

TASK = "holdfast.replay"

# Of socket steps in the worker's own loop: above the 1 s for which Redis keeps an empty read open.
_CONSUMER_TIMEOUT = 5


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How to reach the broker, and how the queue is declared there.

    url:            redis, rediss, amqp or amqps.
    queue:          its name.
    timeout:        seconds for each step of sending a message, more than 0.
    delivery_limit: deliveries after which RabbitMQ sets a message aside.
    tls:            for rediss and amqps.
    """

    url: str
    queue: str = "holdfast"
    timeout: float = 1.0
    delivery_limit: int = 20
    tls: TlsFiles = field(default_factory=TlsFiles)

    @property
    def amqp(self) -> bool:
        return urlsplit(self.url).scheme in ("amqp", "amqps")


def make_app(options: BrokerOptions, **more: Any) -> Celery:
    """An application that senders and workers share; it connects to nothing. more: of Celery's settings."""
    app = Celery("holdfast", broker=options.url, set_as_current=False)
    app.conf.update(
        task_queues=[_queue(options)],
        task_default_queue=options.queue,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        broker_use_ssl=options.tls.broker(options.url) or False,
        broker_connection_timeout=2,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_amqp() if options.amqp else _redis(),
        # A replay needs no broker: it goes on while the connection is away, and its lease keeps a second one off.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=20,
        # On a busy machine a child is slow to begin; killed for it, the next one is no faster, and none ever works.
        worker_proc_alive_timeout=60,
        worker_enable_remote_control=False,
        **more,
    )
    return app


def sending(options: BrokerOptions) -> dict[str, Any]:
    """How a sender connects: short deadlines instead of a consumer's patience."""
    timeout = options.timeout
    if options.amqp:
        return {"connect_timeout": timeout, "transport_options": {"read_timeout": timeout, "write_timeout": timeout}}
    return {"transport_options": {"socket_timeout": timeout, "socket_connect_timeout": timeout}}


def dead_letters(options: BrokerOptions) -> Queue:
    """Where RabbitMQ puts the messages that were delivered too often: some of them are kept, to be looked at."""
    name = f"{options.queue}.dead"
    exchange = Exchange(name, type="fanout", durable=True)  # type: ignore[no-untyped-call]
    arguments = {"x-queue-type": "quorum", "x-max-length": 1000}
    return Queue(name, exchange, queue_arguments=arguments)  # type: ignore[no-untyped-call]


def _queue(options: BrokerOptions) -> Queue:
    name = options.queue
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": options.delivery_limit,
        "x-dead-letter-exchange": f"{name}.dead",
    }
    anonymous = Exchange("")  # type: ignore[no-untyped-call]
    return Queue(  # type: ignore[no-untyped-call]
        name, anonymous, routing_key=name, queue_arguments=arguments if options.amqp else {}
    )


def _redis() -> dict[str, Any]:
    return {
        # No bookkeeping of unacknowledged messages in the broker: it loses some all the same, and an acknowledgement
        # that fails takes one of the worker's places for ever. What is lost here, the sweeper rings for again.
        "ack_emulation": False,
        "socket_timeout": _CONSUMER_TIMEOUT,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "health_check_interval": 5,
        "retry_on_timeout": False,
    }


def _amqp() -> dict[str, Any]:
    return {"confirm_publish": True}
