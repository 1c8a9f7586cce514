"""Start one child: in its own session, its output piped here, tied to our life."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from cli.errors import StackError

from .output import Output
from .spec import Spec

_PR_SET_PDEATHSIG = 1


def spawn(spec: Spec, token: Path, output: Output) -> subprocess.Popen[bytes]:
    """Start the process, holding `token` open; raises StackError when that cannot be done.

    Call it from the main thread: Linux ends the child when the *thread* that started it ends.
    """
    spec.prepare()
    uid, gid = spec.user or (None, None)
    read, write = os.pipe()
    held = os.open(token, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        child = subprocess.Popen(
            spec.argv,
            env=spec.env,
            cwd=spec.cwd,
            stdin=subprocess.PIPE if spec.input else subprocess.DEVNULL,
            stdout=write,
            stderr=write,
            pass_fds=(held,),
            start_new_session=True,  # the terminal's Ctrl-C is for the supervisor alone
            preexec_fn=tie_to_us(),
            user=uid,
            group=gid,
            extra_groups=None if spec.user is None else (),
        )
    except OSError as error:
        os.close(read)
        raise StackError(f"cannot be run: {error}") from error
    finally:
        os.close(write)
        os.close(held)
    output.follow(spec.name, read)
    if child.stdin:
        with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
            stdin.write(spec.input)
    return child


def tie_to_us(sig: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """What a child runs before its program, so that the kernel sends it `sig` when we end (Linux only)."""
    if sys.platform != "linux":
        return None
    prctl, us = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, sig, 0, 0, 0)
        if os.getppid() != us:
            os._exit(1)

    return tie


async def ended(child: subprocess.Popen[bytes]) -> int:
    """The exit code of the child itself; asyncio's own wait would last until its pipe is closed by all who have it."""
    if not hasattr(os, "pidfd_open"):
        return await asyncio.to_thread(child.wait)
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    pidfd = os.pidfd_open(child.pid)
    loop.add_reader(pidfd, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
    return child.wait()


def describe(code: int) -> str:
    """An exit code in words."""
    return f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
