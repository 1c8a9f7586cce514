"""One process of the stack and its life: started, ready, frozen, fallen, started again."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from cli.errors import StackError

from . import members
from .output import Output
from .spawn import describe, ended, spawn
from .spec import Spec

_PROBE_INTERVAL = 0.05
_STARTS_BEFORE_GIVING_UP = 3
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 10.0
_STEADY = 10.0


class State(StrEnum):
    DOWN = "down"
    STARTING = "starting"
    READY = "ready"
    FROZEN = "frozen"
    FALLEN = "fallen"  # it died by itself and will be started again


class Process:
    """Keeps one process up from `start` until `stop` or `kill`. Each command returns when its effect is there.

    changed: called with what happened whenever the pid or the state is another.
    """

    def __init__(self, spec: Spec, token: Path, output: Output, changed: Callable[[str], None]) -> None:
        self.spec = spec
        self.restarts = 0
        self._token = token
        self._output = output
        self._changed = changed
        self._state = State.DOWN
        self._frozen = False
        self._failures = 0
        self._end = "it takes too long"
        self._child: subprocess.Popen[bytes] | None = None
        self._exit: asyncio.Task[int] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child and self._child.returncode is None else None

    @property
    def state(self) -> State:
        return State.FROZEN if self._frozen else self._state

    async def start(self, timeout: float = 60.0) -> None:
        """Start it, unless it is up, and return when it is ready.

        Raises StackError when it is not ready in `timeout` seconds or ends three times before; it is kept
        trying all the same.
        """
        async with self._one_at_a_time:
            if self._frozen:
                raise StackError(f"{self.spec.name} is frozen; thaw it first")
            if self._keeper is None or self._state is State.FALLEN:
                await self._let_go()
                self._failures = 0
                self._keeper = asyncio.create_task(self._keep())
            keeper = self._keeper
        await members.until(lambda: self._has_started_or_cannot(keeper), timeout)
        self._raise_if_not_ready(keeper)

    def _has_started_or_cannot(self, keeper: asyncio.Task[None]) -> bool:
        return self._state is State.READY or self._failures >= _STARTS_BEFORE_GIVING_UP or keeper.done()

    def _raise_if_not_ready(self, keeper: asyncio.Task[None]) -> None:
        if self._state is State.READY:
            return
        if keeper.done() and not keeper.cancelled():
            keeper.result()
        raise StackError(f"{self.spec.name} is not ready: {self._end}{self._output.last_words(self.spec.name)}")

    async def stop(self) -> None:
        """Ask it to end, a frozen one too; kill it when it has not ended within its grace."""
        async with self._one_at_a_time:
            await self._let_go()
            if self._child and self._exit and not self._exit.done():
                await self._ask_to_end(self._child, self._exit)
            await self._clear()

    async def kill(self) -> None:
        """End it and its children at once."""
        async with self._one_at_a_time:
            await self._let_go()
            await self._clear()

    async def freeze(self) -> None:
        """Stop it in its tracks, and its children; raises StackError when it is down."""
        async with self._one_at_a_time:
            if self.pid is None:
                raise StackError(f"{self.spec.name} is down; start it first")
            if not await members.freeze(self._token):
                raise StackError(f"{self.spec.name} does not freeze")
            self._frozen = True
            self._changed("frozen")

    async def thaw(self) -> None:
        """Let it go on; nothing happens to one that is not frozen."""
        async with self._one_at_a_time:
            if self._frozen:
                await members.thaw(self._token)
                self._frozen = False
                self._changed("thawed")

    async def _ask_to_end(self, child: subprocess.Popen[bytes], exit_: asyncio.Task[int]) -> None:
        if self._frozen:
            await members.thaw(self._token)
        child.send_signal(self.spec.stop)
        await asyncio.wait([exit_], timeout=self.spec.grace)
        if not exit_.done():
            self._changed(f"did not end within {self.spec.grace:g} s: killed")

    async def _let_go(self) -> None:
        """From now on nobody starts it again."""
        keeper, self._keeper = self._keeper, None
        if keeper:
            keeper.cancel()
            await asyncio.wait([keeper])

    async def _clear(self) -> None:
        """End whatever is left of it, the parent first."""
        if self._child and self.pid:
            self._child.kill()
        await members.end(self._token)
        if self._exit:
            await self._exit
        if self.state is not State.DOWN:
            self._frozen, self._state = False, State.DOWN
            self._changed("down")

    async def _keep(self) -> None:
        """Start it, and start it again whenever it ends, with a growing pause while it does not stay up."""
        pause = _FIRST_PAUSE
        while True:
            up_for, end = await self._live()
            pause = _FIRST_PAUSE if up_for >= _STEADY else pause
            self._frozen, self._state = False, State.FALLEN
            self._failures += not up_for
            self._end = end
            self._changed(f"{end}; starting again in {pause:g} s")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self.restarts += 1

    async def _live(self) -> tuple[float, str]:
        """From its start to its end: for how many seconds it was ready, and how it ended."""
        try:
            await members.end(self._token)
            self._child = spawn(self.spec, self._token, self._output)
        except StackError as error:
            return 0.0, error.message
        except OSError as error:
            return 0.0, f"cannot be run: {error}"
        exit_ = self._exit = asyncio.create_task(ended(self._child))
        up_for = await self._watch(exit_)
        return up_for, describe(exit_.result())

    async def _watch(self, exit_: asyncio.Task[int]) -> float:
        begun, self._state = time.monotonic(), State.STARTING
        self._changed(f"started, pid {self.pid}")
        while not exit_.done() and not await self.spec.ready():
            await asyncio.wait([exit_], timeout=_PROBE_INTERVAL)
        if exit_.done():
            return 0.0
        since, self._state, self._failures = time.monotonic(), State.READY, 0
        self._changed(f"ready in {since - begun:.1f} s")
        await asyncio.wait([exit_])
        return time.monotonic() - since
