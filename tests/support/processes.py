"""Server processes that tests start, freeze, kill and start again."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

WAIT = 60.0

# Below the ports that the kernel gives to outgoing connections, above those that stacks choose by themselves.
_PORTS = range(30_000, 32_768)
_SHARES = 8
_next_port = itertools.count(random.randrange(1_000))


def missing(what: str) -> None:
    """Skip the test, or fail it where everything is required to be there."""
    if os.environ.get("HOLDFAST_REQUIRE_ALL"):
        pytest.fail(f"{what} is missing, and HOLDFAST_REQUIRE_ALL is set")
    pytest.skip(f"{what} is missing")


def free_port() -> int:
    """A port that nothing listens on, and that no other of pytest's processes has given to who is about to."""
    ports = _PORTS[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _SHARES :: _SHARES]
    while True:
        port = ports[next(_next_port) % len(ports)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], object], what: str, *, seconds: float = WAIT) -> None:
    """Return once `condition()` is true; fail after `seconds`."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


class Server:
    """One private server process, its children included. It ends with the process that started it.

    url: where it listens, the same after every start. answers: whether it takes requests.
    user: the id to run as, None for our own. ending: the signal that ends it cleanly.
    """

    def __init__(
        self,
        name: str,
        url: str,
        command: Sequence[str],
        *,
        folder: Path,
        answers: Callable[[str], bool],
        user: int | None = None,
        ending: int = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.url = url
        self._command = list(command)
        self._log = folder / f"{name}.log"
        self._folder = folder
        self._answers = answers
        self._user = user
        self._ending = ending
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Return when it answers. A start right after a kill may need a second try."""
        until = time.monotonic() + WAIT
        while not self.running or not self._answers(self.url):
            if not self.running:
                self._spawn()
            if time.monotonic() > until:
                self.kill()
                raise AssertionError(f"{self.name} does not start:\n{self.log()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it cleanly."""
        self._end(self._ending)

    def kill(self) -> None:
        """End it and its children with SIGKILL."""
        self.freeze()  # so that none is born meanwhile
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop it and its children in the middle of whatever they do: connections stay, answers do not come."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def _spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        children = self._children()
        self._signal(number)
        self._signal(signal.SIGCONT)
        self._process.wait(WAIT)
        wait_until(lambda: not any(map(_alive, children)), f"the children of {self.name} end")

    def _signal(self, number: int) -> None:
        """Clean endings are the parent's own business."""
        if not self.running:
            return
        if number == signal.SIGSTOP:
            os.kill(self.pid, number)  # first, so that it makes no more children
        children = [] if number == self._ending else self._children()
        for pid in (self.pid, *(child.pid for child in children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _children(self) -> list[psutil.Process]:
        try:
            return list(psutil.Process(self.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _end_with_parent() -> None:
    """In the child: have the kernel end it when our process dies, however hard (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
