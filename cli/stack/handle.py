"""A running stack, for whoever drives it from a program: the demo, tests, chaos, load."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cli.errors import StackError

from . import control
from .layout import Layout
from .plan import STORES
from .spawn import tie_to_us

_POLL = 0.05
_END_TIMEOUT = 60.0


class Stack:
    """The stack in one directory. Commands return when their effect is there and raise StackError when refused."""

    def __init__(self, directory: str | Path) -> None:
        self.layout = Layout.at(directory)

    def supervisor(self) -> tuple[int, bool]:
        """The supervisor's pid, and whether all has come up."""
        answer = self._ask({"command": "ps"})
        return answer["pid"], answer["ready"]

    def processes(self) -> dict[str, dict[str, Any]]:
        """The processes by name, each with `pid`, `url`, `state` and `restarts`."""
        return {row["name"]: row for row in self._ask({"command": "ps"})["processes"]}

    def store(self) -> str:
        """The name of the store's server, which `store` stands for in the commands."""
        return next(name for name in STORES if name in self.processes())

    def url(self, name: str) -> str:
        return str(self.processes()[name]["url"])

    def start(self, name: str) -> None:
        self._do("start", name)

    def stop(self, name: str) -> None:
        self._do("stop", name)

    def kill(self, name: str) -> None:
        self._do("kill", name)

    def freeze(self, name: str) -> None:
        self._do("freeze", name)

    def thaw(self, name: str) -> None:
        self._do("thaw", name)

    def _do(self, command: str, name: str) -> None:
        self._ask({"command": command, "name": name})

    def _ask(self, request: dict[str, str]) -> dict[str, Any]:
        return control.ask(self.layout.run, request)


@contextlib.contextmanager
def private_stack(
    directory: str | Path, *, settings: Mapping[str, str] | None = None, timeout: float = 90.0
) -> Iterator[Stack]:
    """Run a stack of one's own on free ports, ready when this is entered and gone when it is left.

    settings: HOLDFAST_… variables for it; of our own environment it takes none.
    Raises StackError, with what it said, when it does not come up in `timeout` seconds.
    """
    stack = Stack(directory)
    stack.layout.create()
    said = stack.layout.log / "up.log"
    with said.open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "cli", "stack", "up", "--dir", stack.layout.root],
            env=_private(os.environ) | dict(settings or {}),
            cwd=stack.layout.root,  # away from an `.env`
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=tie_to_us(signal.SIGTERM),
        )
    try:
        _wait_until_ready(stack, child, said, timeout)
        yield stack
    finally:
        _end(child)


def _private(environ: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in environ.items() if not name.startswith("HOLDFAST_")}
    return own | {"HOLDFAST_API_PORT": "0"}


def _wait_until_ready(stack: Stack, child: subprocess.Popen[bytes], said: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while child.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(StackError):
            if stack.supervisor() == (child.pid, True):
                return
        time.sleep(_POLL)
    raise StackError(f"the stack did not come up; it said:\n{said.read_text(errors='replace')}")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_END_TIMEOUT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
