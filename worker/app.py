"""The worker: Celery's prefork pool around the replay."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from threading import Timer
from typing import Any

from celery import Celery, signals
from celery.apps.worker import Worker as CeleryWorker

from adapters.assembly import Role, assemble
from adapters.assembly.servers import broker_options
from adapters.celery_app import dead_letters, make_app
from adapters.garbage_collection import collect_garbage_less_often
from adapters.settings import Settings
from adapters.telemetry import Lines

from .metrics import WorkerMetrics
from .ready import ReadyFile
from .runtime import Ending, Runtime
from .steps import Consumer, NoRestoring, declaring, with_children
from .tasks import register

log = logging.getLogger(__name__)

# Beyond the grace that children have for their own ending.
_MARGIN = 5.0


class Worker(CeleryWorker):  # type: ignore[misc]
    """Ends by SIGINT as it does by SIGTERM: in order, and with 0."""

    def install_platform_tweaks(self, worker: Any) -> None:
        super().install_platform_tweaks(worker)
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGTERM))


def run(settings: Settings, lines: Lines) -> int:
    """Consume until SIGTERM or SIGINT; return the exit code."""
    _quieten(settings)
    ending = Ending()
    runtime = Runtime(partial(assemble, settings, Role.WORKER), ending)
    metrics = WorkerMetrics(settings)
    app = _app(settings, runtime)
    app.steps["worker"].add(with_children(metrics.push))
    ready = ReadyFile(settings.ready_file)
    cut = Timer(settings.shutdown_grace + _MARGIN, _cut_off)
    cut.daemon = True
    _connect(
        {
            signals.setup_logging: _keep_the_logs,
            signals.worker_process_init: partial(_begin_child, runtime, metrics, lines),
            signals.worker_process_shutdown: partial(_end_child, runtime, lines),
            signals.worker_ready: ready.make,
            signals.worker_shutting_down: partial(_begin_ending, ending, cut),
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
        cut.cancel()  # the children are gone, and what follows takes a bounded time
        ready.remove()
        metrics.close()
        lines.close()
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
    for each, handler in handlers.items():
        each.connect(partial(_call, handler), weak=False)


def _keep_the_logs() -> None:
    """They are set up already; Celery would set up its own where nobody answers this signal."""


def _begin_child(runtime: Runtime, metrics: WorkerMetrics, lines: Lines) -> None:
    lines.begin()
    metrics.begin_child()
    runtime.start()
    collect_garbage_less_often()


def _end_child(runtime: Runtime, lines: Lines) -> None:
    try:
        runtime.close()
    finally:
        lines.close()


def _call(handler: Callable[[], object], **_: object) -> None:
    """Celery's signals bring what no handler here needs."""
    handler()


def _begin_ending(ending: Ending, cut: Timer) -> None:
    """In the signal handler: children end after their batches; a shutdown that hangs is cut off."""
    if ending.begin():
        cut.start()


def _cut_off() -> None:
    log.error("the worker did not end in time and is cut off")
    os._exit(1)
