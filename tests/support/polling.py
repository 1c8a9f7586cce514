"""Waiting in tests: for a condition, and never longer than a bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Return once `condition()` is true; fail after `seconds`."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"still not true after {seconds:g} s"
        await asyncio.sleep(0.01)
