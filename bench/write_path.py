"""What the write path does on this machine, as ratios to a bare psycopg loop in the same run.

`python -m bench.write_path` starts a stack of its own in a temporary folder and prints a table. Rounds of the baseline
and of the API alternate, and each figure is the median of its rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

Figures = dict[str, Any]


class Stack:
    """A running local stack, steered from outside."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.processes = {
            process["name"]: process for process in json.loads((folder / "run" / "stack.json").read_text())["processes"]
        }
        self.api = urlsplit(self.processes["api"]["url"])

    def steer(self, *command: str) -> None:
        _holdfast("stack", *command, "--dir", str(self._folder))

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.api.geturl().rstrip('/')}{path}", timeout=10) as answer:
            return json.load(answer)

    def backlog(self) -> int:
        """Held operations; waits for the ledger while it cannot say."""
        while (known := self.get("/admin/stats")["backlog"]) is None:
            time.sleep(0.1)
        return int(known["waiting"])

    def cpu(self, name: str) -> float:
        """Seconds of processor time that the process and its children have used."""
        process = psutil.Process(self.processes[name]["pid"])
        family = [process, *process.children(recursive=True)]
        return float(sum(one.cpu_times().user + one.cpu_times().system for one in family))


def _holdfast(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "cli", *arguments], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def running_stack() -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        command = [sys.executable, "-m", "cli", "stack", "up", "--no-logs", "--dir", name]
        environment = {**os.environ, "HOLDFAST_API_PORT": "0"}
        with (folder / "up.log").open("w") as log:
            up = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: (folder / "run" / "stack.json").exists() or up.poll() is not None, 60)
            if up.poll() is not None:
                raise SystemExit((folder / "up.log").read_text())
            yield Stack(folder)
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)


def wait_until(true: Any, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise TimeoutError(f"not so in {seconds} s")
        time.sleep(0.05)


def run(module: str, *arguments: object) -> Figures:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout))


def baseline(stack: Stack, seconds: float) -> Figures:
    figures = run("bench.baseline", "--url", stack.processes["postgres"]["url"], "--seconds", seconds)
    return {**figures, "rate": figures["rows"] / figures["seconds"], "cpu": 0.0}


def load(stack: Stack, seconds: float, method: str, path: str, connections: int = 32) -> Figures:
    before = stack.cpu("api")
    figures = run(
        "bench.load", "--port", stack.api.port, "--method", method, "--path", path,
        "--seconds", seconds, "--connections", connections,
    )  # fmt: skip
    used = stack.cpu("api") - before
    count = max(1, figures["requests"])
    return {**figures, "rate": figures["requests"] / figures["seconds"], "cpu": 1000 * used / count}


def healthy(stack: Stack, seconds: float, rounds: int) -> list[tuple[str, Figures]]:
    taken: dict[str, list[Figures]] = {"bare loop": [], "POST": [], "PUT": [], "GET by id": []}
    for number in range(1000):
        _put(stack, f"/v1/records/bench/{number}")
    for _ in range(rounds):
        taken["bare loop"].append(baseline(stack, seconds))
        taken["POST"].append(load(stack, seconds, "POST", "/v1/records/bench"))
        taken["PUT"].append(load(stack, seconds, "PUT", "/v1/records/bench/{id}"))
        taken["GET by id"].append(load(stack, seconds, "GET", "/v1/records/bench/{seen}"))
    return [(name, _median(figures)) for name, figures in taken.items()]


def held(stack: Stack, seconds: float, rounds: int) -> list[tuple[str, Figures]]:
    """The store is killed; writes are held, and reads come from the cache."""
    stack.steer("kill", "postgres")
    writes, reads = [], []
    for _ in range(rounds):
        writes.append(load(stack, seconds, "POST", "/v1/records/bench"))
        reads.append(load(stack, seconds, "GET", "/v1/records/bench/{seen}"))
    return [("POST, store down (202)", _median(writes)), ("GET, store down (cache)", _median(reads))]


def drain(stack: Stack) -> list[tuple[str, Figures]]:
    """The store is back: how fast the backlog goes, with nobody else there."""
    waiting = stack.backlog()
    stack.steer("start", "postgres")
    began = time.monotonic()
    wait_until(lambda: stack.backlog() < waiting, 60)
    first, at = stack.backlog(), time.monotonic()
    wait_until(lambda: stack.backlog() == 0, 300)
    took = time.monotonic() - at
    return [(f"drain of {waiting} held", {"rate": first / took, "p50": 0.0, "p99": 0.0, "cpu": 0.0,
                                          "statuses": {"first seen after": round(at - began, 2)}})]  # fmt: skip


def drain_with_traffic(stack: Stack, seconds: float) -> list[tuple[str, Figures]]:
    """Fresh writes of four clients before a drain, and during one."""
    before = load(stack, seconds, "POST", "/v1/records/fresh", connections=4)
    stack.steer("kill", "postgres")
    while stack.backlog() < 30_000:
        load(stack, 2.0, "POST", "/v1/records/bench")
    stack.steer("start", "postgres")
    waiting = stack.backlog()
    wait_until(lambda: stack.backlog() < waiting, 60)
    during = load(stack, min(seconds, 3.0), "POST", "/v1/records/fresh", connections=4)
    wait_until(lambda: stack.backlog() == 0, 300)
    return [("POST of 4 clients, healthy", before), ("POST of 4 clients, during a drain", during)]


def _put(stack: Stack, path: str) -> bool:
    request = urllib.request.Request(
        f"{stack.api.geturl().rstrip('/')}{path}", b'{"n": 1}', {"content-type": "application/json"}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bool(answer.status)


def _median(figures: list[Figures]) -> Figures:
    numbers = ("rate", "p50", "p99", "cpu")
    return {
        **{name: statistics.median(figure[name] for figure in figures) for name in numbers},
        "statuses": figures[-1].get("statuses", {}),
    }


def table(rows: list[tuple[str, Figures]]) -> str:
    base = rows[0][1]["rate"]
    lines = [
        "| | per second | ratio to the bare loop | p50 ms | p99 ms | API CPU ms per request | statuses |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, figures in rows:
        statuses = ", ".join(f"{status}: {count}" for status, count in figures["statuses"].items())
        lines.append(
            f"| {name} | {figures['rate']:,.0f} | {figures['rate'] / base:.2f} | {figures['p50']:.1f} "
            f"| {figures['p99']:.1f} | {figures['cpu']:.3f} | {statuses} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind")
    arguments = parser.parse_args()
    with running_stack() as stack:
        rows = healthy(stack, arguments.seconds, arguments.rounds)
        print(table(rows), file=sys.stderr)
        rows += held(stack, arguments.seconds, 1)
        rows += drain(stack)
        print(table(rows), file=sys.stderr)
        rows += drain_with_traffic(stack, arguments.seconds)
    print(table(rows))


if __name__ == "__main__":
    main()
