"""`python -m api` as a process of its own, with the memory profile unless told otherwise."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.http import PerThread
from tests.support.processes import WAIT, free_port, wait_until

ROOT = Path(__file__).parents[2]

# No call is to run out of time, and no write to be held for having waited for its turn, on any machine.
PATIENT = {
    **{f"HOLDFAST_{name}_TIMEOUT": "10" for name in ("STORE", "LEDGER", "CACHE", "BROKER")},
    "HOLDFAST_WRITE_PATIENCE": "10",
}


class ApiProcess:
    """url: where it listens. http: a client of it."""

    def __init__(self, process: subprocess.Popen[str], port: int, scheme: str = "http") -> None:
        self.process = process
        self.url = f"{scheme}://127.0.0.1:{port}"
        self._clients = PerThread(self.url)

    @property
    def http(self) -> httpx.Client:
        return self._clients.mine

    def close(self) -> None:
        self._clients.close()

    @property
    def alive(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.process.poll() is None and self.http.get("/livez").status_code == 200
        return False

    def ended(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after this signal."""
        self.process.send_signal(number)
        return self.process.wait(WAIT)


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    """A start that is to fail: its exit code and what it says."""
    return subprocess.run(
        [sys.executable, "-m", "api"],
        env=_environment(variables),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT,
    )


@contextmanager
def running(*, scheme: str = "http", **variables: str) -> Iterator[ApiProcess]:
    port = free_port()
    environment = _environment({"HOLDFAST_API_PORT": str(port), **PATIENT, **variables})
    process = subprocess.Popen([sys.executable, "-m", "api"], env=environment, cwd=ROOT, text=True)
    api = ApiProcess(process, port, scheme)
    try:
        wait_until(lambda: api.alive or process.poll() is not None, "the API answers")
        assert process.poll() is None, f"it ended with {process.returncode}"
        yield api
    finally:
        api.close()
        process.kill()
        process.wait(WAIT)


def _environment(variables: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
    return {**inherited, "HOLDFAST_STORE": "memory", **variables}
