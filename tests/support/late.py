"""Tasks that end by a timeout, on a fake clock."""

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
