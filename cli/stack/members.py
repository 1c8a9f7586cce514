"""Which processes belong to one member of the stack, whatever became of their parents.

Each process that the supervisor starts inherits an open file, and so do its children: whoever holds that file
is one of ours. Process groups cannot tell (each PostgreSQL backend leads a session of its own), parents cannot
once they are dead, and names and recorded pids can be somebody else's.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from cli.errors import StackError

_POLL = 0.02


def members(token: Path) -> list[psutil.Process]:
    """The living processes that hold `token` open, oldest first."""
    held = str(token)
    found = [process for process in psutil.process_iter(["create_time"]) if _holds(process, held)]
    return sorted(found, key=lambda process: (process.info["create_time"], process.pid))


def _holds(process: psutil.Process, path: str) -> bool:
    try:
        return any(file.path == path for file in process.open_files())
    except psutil.Error:
        return False


def send(processes: list[psutil.Process], sig: signal.Signals) -> None:
    """Signal each that is still there."""
    for process in processes:
        try:
            process.send_signal(sig)
        except psutil.NoSuchProcess:
            continue


async def until(condition: Callable[[], bool], timeout: float) -> bool:
    """Wait up to `timeout` seconds for the condition; say whether it came true."""
    deadline = time.monotonic() + timeout
    while not (met := condition()) and time.monotonic() < deadline:
        await asyncio.sleep(_POLL)
    return met


async def end(token: Path, timeout: float = 30.0) -> int:
    """Kill all members, stopped ones too, and return how many there were once they are gone.

    Raises StackError when one does not go (it hangs in the kernel).
    """
    seen = set[int]()

    def gone() -> bool:
        left = members(token)
        seen.update(process.pid for process in left)
        send(left, signal.SIGKILL)
        return not left

    if not await until(gone, timeout):
        raise StackError(f"these processes do not end: {', '.join(map(str, sorted(seen)))}")
    return len(seen)


async def freeze(token: Path, timeout: float = 30.0) -> bool:
    """Stop all members and wait until each is stopped, those born meanwhile too."""

    def stopped() -> bool:
        running = [process for process in members(token) if not _is_stopped(process)]
        send(running, signal.SIGSTOP)
        return not running

    return await until(stopped, timeout)


async def thaw(token: Path, timeout: float = 30.0) -> bool:
    """Let all members go on, and wait until none is stopped."""

    def going() -> bool:
        stopped = [process for process in members(token) if _is_stopped(process)]
        send(stopped, signal.SIGCONT)
        return not stopped

    return await until(going, timeout)


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return True
