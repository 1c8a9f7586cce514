"""What a child process of the worker keeps from task to task: one event loop, and a system on it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from threading import Thread

from adapters.assembly import Role, System
from holdfast.operations.model import Resource

log = logging.getLogger(__name__)


# The pool can wait for ever for a child that waits for it, when a message comes in the last moment.
_PATIENCE = 3.0


class Ending:
    """Tells every child that the worker ends: the parent closes its end of a pipe, and each child sees it."""

    def __init__(self) -> None:
        self._theirs, self._ours = os.pipe()
        self._begun = False

    def begin(self) -> bool:
        """In the parent; again does nothing. Whether it was the first time."""
        if self._begun:
            return False
        self._begun = True
        os.close(self._ours)
        return True

    def watch(self, told: Callable[[], None]) -> None:
        """In a child: have `told` called in a thread when it begins."""
        os.close(self._ours)

        def wait() -> None:
            os.read(self._theirs, 1)
            told()

        Thread(target=wait, name="holdfast-ending", daemon=True).start()


class Runtime:
    """The event loop of a child and the system on it, from `start`, after the fork, to `close`.

    make:   makes the system.
    ending: tells the child that the worker ends.
    """

    def __init__(self, make: Callable[[], System], ending: Ending) -> None:
        self._make = make
        self._ending = ending
        self._leaving = False

    def start(self) -> None:
        """Connects to nothing: a child that is slow to start would be killed."""
        self._runner = asyncio.Runner()
        self._system = self._make()
        self._runner.run(self._system.start(Role.WORKER))
        self._ending.watch(self._end)

    def replay(self, resources: Sequence[Resource]) -> int:
        """Replay until nothing is due or the time slice is over; return how many operations were settled."""
        # The pool's own handler would raise in the middle of a step.
        before = signal.signal(signal.SIGTERM, self._leave)
        try:
            # The context of now, not of the runner's making: it holds the trace that the message belongs to.
            return self._runner.run(self._replay(resources), context=copy_context())
        finally:
            signal.signal(signal.SIGTERM, before)
            if self._leaving:
                raise SystemExit(0)

    def close(self) -> None:
        self._runner.run(self._system.close())
        self._runner.close()

    async def _replay(self, resources: Sequence[Resource]) -> int:
        with self._system.metrics.runs.time():
            settled = await self._system.replayer.replay(resources)
        await self._system.flush()
        return settled

    def _end(self) -> None:
        """The worker ends: stop, and leave some time to the pool to end this child."""
        self._system.replayer.stop()
        time.sleep(_PATIENCE)
        os.kill(os.getpid(), signal.SIGTERM)

    def _leave(self, *_: object) -> None:
        """A signal to this child alone, or to the whole group: end after the batches that are on their way."""
        self._leaving = True
        self._system.replayer.stop()
