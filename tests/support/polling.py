"""Waiting in tests: for a condition, and never longer than a bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from holdfast.errors import Rejected, Transient

WAIT = 60.0


async def until(condition: Callable[[], object], *, seconds: float = WAIT) -> None:
    """Return once `condition()` is true; fail after `seconds`."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"still not true after {seconds:g} s"
        await asyncio.sleep(0.01)


async def until_seen(
    look: Callable[[], Awaitable[object]], what: str = "what is looked for", *, seconds: float = WAIT
) -> None:
    """Return once a look finds it; fail after `seconds`. A look that fails because the other side is slow or away,
    or is not asked for that reason, has found nothing, and is followed by another.
    """
    ends = time.monotonic() + seconds
    while not await _found(look):
        assert time.monotonic() < ends, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.01)


async def _found(look: Callable[[], Awaitable[object]]) -> bool:
    try:
        return bool(await look())
    except (Transient, Rejected):
        return False
