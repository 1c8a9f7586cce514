"""Tasks that end by a timeout: on a fake clock, or on that of the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from holdfast.errors import TimedOut
from holdfast.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def ended(task: asyncio.Task[None] | Awaitable[None], clock: FakeClock, seconds: float) -> float:
    """Let time pass until the task ends by its timeout; return how much did."""
    began = clock.monotonic()
    task = asyncio.ensure_future(task)
    await clock.until_waiting()
    clock.advance(seconds)
    with pytest.raises(TimedOut):
        await task
    return clock.monotonic() - began


def pass_over(seconds: float) -> None:
    """Put the running event loop's own clock so far ahead: what was to happen there by then is due now."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]
