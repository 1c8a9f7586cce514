"""What tracing costs a write: the same API process without it, with it as it comes, and recording everything.

`python -m bench.telemetry` starts a stack of its own in a temporary folder, three API processes on its servers and a
collector that throws away what it gets. Rounds of the three alternate. CPU is the measure to trust.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from typing import NamedTuple

import psutil

from .write_path import Figures, Stack, run, running_stack, wait_until

_SERVERS = ("postgres", "ledger", "cache", "broker")


class Api(NamedTuple):
    name: str
    process: psutil.Process
    port: int

    def load(self, seconds: float, connections: int) -> Figures:
        before = self.process.cpu_times()
        figures = run(
            "bench.load", "--port", self.port, "--method", "POST", "--path", "/v1/records/bench",
            "--seconds", seconds, "--connections", connections,
        )  # fmt: skip
        after = self.process.cpu_times()
        used = after.user + after.system - before.user - before.system
        count = max(1, figures["requests"])
        return {**figures, "rate": count / figures["seconds"], "cpu": 1000 * used / count}


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def collector() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextlib.contextmanager
def api(stack: Stack, name: str, **variables: str) -> Iterator[Api]:
    """An API process on the servers of the stack, on a port of its own."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    urls = {f"HOLDFAST_{each.upper()}_URL": stack.processes[each]["url"] for each in _SERVERS}
    environment = {**os.environ, **urls, "HOLDFAST_STORE": "postgres", "HOLDFAST_API_PORT": str(port), **variables}
    process = subprocess.Popen([sys.executable, "-m", "api"], env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port), 60)
        yield Api(name, psutil.Process(process.pid), port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def measure(apis: list[Api], seconds: float, rounds: int, connections: int) -> dict[str, list[Figures]]:
    taken: dict[str, list[Figures]] = {each.name: [] for each in apis}
    for each in apis:
        each.load(1.0, connections)
    for number in range(rounds):
        for each in apis[:: 1 if number % 2 else -1]:
            taken[each.name].append(each.load(seconds, connections))
    return taken


def table(taken: dict[str, list[Figures]]) -> str:
    """Ratios are those of each round to the first one's in it, and their median."""
    off = next(iter(taken.values()))
    lines = [
        "| | API CPU ms per write | ratio | per second | p50 ms | p99 ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, rounds in taken.items():
        rate, cpu, p50, p99 = (median(each[key] for each in rounds) for key in ("rate", "cpu", "p50", "p99"))
        ratio = median(mine["cpu"] / its["cpu"] for mine, its in zip(rounds, off, strict=True))
        lines.append(f"| {name} | {cpu:.3f} | {ratio:.2f} | {rate:,.0f} | {p50:.1f} | {p99:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each kind")
    arguments = parser.parse_args()
    with running_stack() as stack, collector() as url, contextlib.ExitStack() as processes:
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": url}
        apis = [
            processes.enter_context(api(stack, "off")),
            processes.enter_context(api(stack, "on, 5 % recorded (the default)", **traced)),
            processes.enter_context(api(stack, "on, all recorded", **traced, HOLDFAST_TRACE_RATIO="1")),
        ]
        for connections in (32, 1):
            print(f"\n{connections} connections\n")
            print(table(measure(apis, arguments.seconds, arguments.rounds, connections)), flush=True)


if __name__ == "__main__":
    main()
