"""Log lines on their way to a collector that is there, away, hanging, or not asked for."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.instrumentation.utils import suppress_instrumentation

from adapters.telemetry import Lines, lines_of
from adapters.telemetry.lines import LineSender, add_trace
from tests.support.collector import Collector, running_collector
from tests.support.processes import free_port, wait_until

SOMEWHERE = "http://localhost:4318"
log = logging.getLogger("test.lines")

SCRIPT = """
import logging, os, time
from adapters import logs
from adapters.telemetry import lines_of
lines = lines_of("api", os.environ)
logs.configure("debug", "json", lines.add, lines.send)
log = logging.getLogger("test.lines")
began = time.monotonic()
for n in range(5000):
    log.info("line %d", n)
print(time.monotonic() - began)
began = time.monotonic()
lines.close()
print(time.monotonic() - began)
log.info("after the end")
"""


class Forward(logging.Handler):
    def __init__(self, sender: LineSender) -> None:
        super().__init__()
        self._sender = sender

    def emit(self, record: logging.LogRecord) -> None:
        self._sender.send(record, {"event": record.getMessage(), "level": "info", "operation_id": "0123"})


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., LineSender]]:
    """Has every line of this process sent to a collector at that URL, each batch within so many seconds."""
    caplog.set_level("DEBUG")
    forwards: list[Forward] = []
    senders: list[LineSender] = []

    def begin(url: str, timeout: float = 20.0) -> LineSender:
        for name, value in {"ENDPOINT": url, "TIMEOUT": str(timeout)}.items():
            monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
        monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "20")
        senders.append(LineSender("api"))
        forwards.append(Forward(senders[-1]))
        logging.getLogger().addHandler(forwards[-1])
        return senders[-1]

    yield begin
    for forward in forwards:
        logging.getLogger().removeHandler(forward)
    for sender in senders:
        sender.close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": SOMEWHERE},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": SOMEWHERE, "OTEL_SDK_DISABLED": "True"},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": SOMEWHERE,
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_TRACES_EXPORTER": "none",
        },
    ],
)
def test_lines_are_only_written_unless_the_environment_says_where_to_send_them(environ: dict[str, str]) -> None:
    assert lines_of("api", environ) == Lines()


def test_lines_can_be_left_out_while_traces_are_sent() -> None:
    only_traced = lines_of("api", {"OTEL_EXPORTER_OTLP_ENDPOINT": SOMEWHERE, "OTEL_LOGS_EXPORTER": "none"})
    assert only_traced == Lines((add_trace,))


def test_a_line_arrives_with_its_severity_its_logger_and_its_fields(
    sending: Callable[..., LineSender], collector: Collector
) -> None:
    sending(collector.url)
    for level, severity in [
        (logging.DEBUG, SeverityNumber.DEBUG),
        (logging.INFO, SeverityNumber.INFO),
        (logging.WARNING, SeverityNumber.WARN),
        (logging.ERROR, SeverityNumber.ERROR),
        (logging.CRITICAL, SeverityNumber.FATAL),
    ]:
        log.log(level, "at %s", severity.name)
        line = collector.line(f"at {severity.name}")
        assert (line.number, line.severity) == (severity.value, logging.getLevelName(level))
        assert (line.logger, line.service, line.pid) == ("test.lines", "holdfast-api", os.getpid())
        assert line.attributes == {"holdfast.operation.id": "0123"}


def test_what_sending_itself_has_to_say_is_never_sent(
    sending: Callable[..., LineSender], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    sending(f"http://127.0.0.1:{port}", timeout=0.5)
    log.info("nobody takes this")
    wait_until(lambda: "the collector takes no log lines" in caplog.messages, "it is told that nobody takes them")
    with running_collector(port) as collector:
        wait_until(lambda: log.info("somebody takes this") or collector.lines("somebody"), "lines arrive again")
        wait_until(lambda: "the collector takes log lines again" in caplog.messages, "and that is told")
        with suppress_instrumentation():
            log.info("said while sending")
        logging.getLogger("opentelemetry.sdk").error("said by the library")
        wait_until(lambda: log.info("the last") or collector.lines("the last"), "what was said last arrives")
        assert {line.logger for line in collector.lines()} == {"test.lines"}
        assert not collector.lines("said")


def test_lines_after_the_end_are_only_written(sending: Callable[..., LineSender], collector: Collector) -> None:
    sender = sending(collector.url)
    log.info("before")
    sender.close()
    log.info("after")
    sender.close()
    assert [line.text for line in collector.lines()] == ["before"]


@pytest.mark.parametrize("listening", [False, True], ids=["away", "hanging"])
def test_a_collector_that_takes_nothing_neither_holds_lines_up_nor_fills_the_log(listening: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1] if listening else free_port()
        environ = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://127.0.0.1:{port}/v1/logs"}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=os.environ | environ, capture_output=True, text=True, check=True
        )
    logged, closed = map(float, done.stdout.split())
    lines = done.stderr.splitlines()
    assert sum('"line ' in line for line in lines) == 5000
    assert sum("after the end" in line for line in lines) == 1
    assert len(lines) < 5010, "a word or two about it"
    assert logged < 20
    assert closed < 10
