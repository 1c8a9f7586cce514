"""Health of what a process depends on: all checks at once, each for a bounded time.

A check that hangs is left behind (`abandon_after`), so that a frozen server makes an answer no later than the timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from .clock import Clock, system_clock
from .timeout import abandon_after


class Status(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Check:
    """name:    of the dependency. probe: returns if it is well, raises if not.
    timeout: seconds after which it counts as unhealthy, more than 0.
    slow:    seconds from which it is degraded.
    """

    name: str
    probe: Callable[[], Awaitable[object]]
    timeout: float = 1.0
    slow: float = 0.5

    def __post_init__(self) -> None:
        if self.timeout <= 0 or self.slow <= 0:
            raise ValueError(f"timeout and slow must be more than 0, got {self}")


@dataclass(frozen=True, slots=True)
class Result:
    """seconds: how long the answer took. error: type and text, None when it was well. cause: the error itself."""

    status: Status
    seconds: float
    error: str | None = None
    cause: Exception | None = None


async def check_all(checks: Iterable[Check], *, clock: Clock = system_clock) -> dict[str, Result]:
    """The result of each check by its name, after at most the longest timeout."""
    listed = list(checks)
    results = await asyncio.gather(*(_check(check, clock) for check in listed))
    return {check.name: result for check, result in zip(listed, results, strict=True)}


async def _check(check: Check, clock: Clock) -> Result:
    began = clock.monotonic()
    try:
        await abandon_after(check.timeout, check.probe(), clock=clock)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return Result(Status.UNHEALTHY, clock.monotonic() - began, f"{type(error).__name__}: {error}", error)
    seconds = clock.monotonic() - began
    return Result(Status.DEGRADED if seconds >= check.slow else Status.HEALTHY, seconds)
