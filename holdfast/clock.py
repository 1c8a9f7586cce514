"""Time as a thing to hand over, so that a test can move it.

`monotonic` is for durations and decisions; `time` is the wall clock, only ever shown to people or stored.
The two are never mixed: a wall clock jumps when it is corrected.
"""

from __future__ import annotations

import asyncio
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Make sure that it is not called; does nothing once it has been."""


class Clock(Protocol):
    """Where time comes from. All durations are seconds."""

    def monotonic(self) -> float:
        """Seconds that never go back, from an unspecified start."""

    def time(self) -> float:
        """Seconds since the epoch, as the wall clock has it."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; other tasks run meanwhile, even if it is 0."""

    def pause(self, seconds: float) -> None:
        """Block the calling thread for `seconds`."""

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        """Have the running event loop call `callback` after `seconds`."""


class SystemClock:
    """The machine's own clocks."""

    monotonic = staticmethod(monotonic)
    time = staticmethod(time)
    pause = staticmethod(sleep)
    sleep = staticmethod(asyncio.sleep)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, callback)


system_clock: Final[Clock] = SystemClock()
