"""The worker: Celery's prefork pool around the replay."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from threading import Timer
from typing import Any

from celery import Celery, signals
from celery.apps.worker import Worker

from adapters.assembly import Role, assemble
from adapters.assembly.servers import broker_options
from adapters.celery_app import dead_letters, make_app
from adapters.settings import Settings

from .ready import ReadyFile
from .runtime import Ending, Runtime
from .serving import WorkerMetrics
from .steps import Consumer, NoRestoring, declaring
from .tasks import register

log = logging.getLogger(__name__)

# Beyond the grace that children have for their own ending.
_MARGIN = 5.0


def run(settings: Settings) -> int:
    """Consume until a signal ends it; return the exit code."""
    _quieten(settings)
    ending = Ending()
    runtime = Runtime(partial(assemble, settings, Role.WORKER), ending)
    metrics = WorkerMetrics(settings)
    app = _app(settings, runtime)
    ready = ReadyFile(settings.ready_file)
    _connect(
        {
            signals.setup_logging: _keep_the_logs,
            signals.worker_process_init: partial(_begin_child, runtime, metrics),
            signals.worker_process_shutdown: runtime.close,
            signals.worker_ready: ready.make,
            signals.worker_shutting_down: partial(_begin_ending, ending, settings.shutdown_grace),
        }
    )
    worker = Worker(
        app=app,
        concurrency=settings.worker_concurrency,
        loglevel=settings.log_level.upper(),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    metrics.serve(worker)
    try:
        worker.start()
    finally:
        ready.remove()
        metrics.close()
    return int(worker.exitcode or 0)


def _quieten(settings: Settings) -> None:
    """Leave out a line or two for each message, and Celery's warnings of what is chosen here on purpose."""
    if settings.log_level != "debug":
        for name in ("celery.worker.strategy", "celery.app.trace"):
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("py.warnings").setLevel(logging.ERROR)


def _app(settings: Settings, runtime: Runtime) -> Celery:
    options = broker_options(settings)
    app = make_app(options, worker_consumer=Consumer, worker_pool="prefork", worker_redirect_stdouts=False)
    app.steps["consumer"].add(declaring(dead_letters(options)) if options.amqp else NoRestoring)
    register(app, runtime.replay)
    return app


def _connect(handlers: dict[Any, Callable[[], object]]) -> None:
    for signal, handler in handlers.items():
        signal.connect(partial(_call, handler), weak=False)


def _keep_the_logs() -> None:
    """They are set up already; Celery would set up its own where nobody answers this signal."""


def _begin_child(runtime: Runtime, metrics: WorkerMetrics) -> None:
    metrics.begin_child()
    runtime.start()


def _call(handler: Callable[[], object], **_: object) -> None:
    """Celery's signals bring what no handler here needs."""
    handler()


def _begin_ending(ending: Ending, grace: float) -> None:
    """In the signal handler: children end after their batches; a shutdown that hangs is cut off."""
    ending.begin()
    timer = Timer(grace + _MARGIN, _cut_off)
    timer.daemon = True
    timer.start()


def _cut_off() -> None:
    log.error("the worker did not end in time and is cut off")
    os._exit(1)
