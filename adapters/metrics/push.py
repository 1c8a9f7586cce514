"""Metrics sent over OTLP as well, where OTEL_EXPORTER_OTLP_METRICS_ENDPOINT says where to: what `/metrics` says.

Other variables of OpenTelemetry's exporter count too (headers, timeout, certificate, OTEL_METRIC_EXPORT_INTERVAL).
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

log = logging.getLogger(__name__)

ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"

# Milliseconds, as OpenTelemetry has it.
_USUAL_INTERVAL = 60_000
# Seconds for which the end waits for a last push, and a push for the event loop.
_PATIENCE = 3.0


class Sender(Protocol):
    """What sends metrics somewhere."""

    def send(self, text: str) -> None:
        """Convert and send; never raises because nobody takes it."""
        ...


class Push:
    """Sends what `render` says every `interval` seconds, from a thread of its own, and once more at its end."""

    def __init__(self, render: Callable[[], bytes], sender: Sender, interval: float) -> None:
        self._render = render
        self._sender = sender
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="holdfast-metrics-push", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Push once more, for a bounded time. Not from the event loop that `render` needs."""
        self._ended.set()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        going_on = True
        while going_on:
            going_on = not self._ended.wait(self._interval)
            try:
                self._sender.send(self._render().decode())
            except Exception:
                log.exception("metrics were not pushed")


def push_of(environ: Mapping[str, str], program: str, render: Callable[[], bytes]) -> Push | None:
    """None unless the environment asks for it; nothing of OpenTelemetry is imported then."""
    if not wanted(environ):
        return None
    from .otlp import OtlpSender

    return Push(render, OtlpSender(program), _interval(environ))


def _interval(environ: Mapping[str, str]) -> float:
    """Seconds; what cannot be used is warned of and taken for the default, as OpenTelemetry itself does."""
    text = environ.get(_INTERVAL) or str(_USUAL_INTERVAL)
    try:
        milliseconds = float(text)
    except ValueError:
        milliseconds = 0.0
    if not 0 < milliseconds < math.inf:
        log.warning("%s=%r must be milliseconds, more than 0; it is taken for %d", _INTERVAL, text, _USUAL_INTERVAL)
        milliseconds = _USUAL_INTERVAL
    return milliseconds / 1000


def wanted(environ: Mapping[str, str]) -> bool:
    return bool(environ.get(ENDPOINT))


def from_thread(render: Callable[[], Awaitable[bytes]]) -> Callable[[], bytes]:
    """`render`, which belongs to this event loop, for other threads."""
    loop = asyncio.get_running_loop()

    async def rendered() -> bytes:
        return await render()

    return lambda: asyncio.run_coroutine_threadsafe(rendered(), loop).result(_PATIENCE)
