"""Health of what a process depends on: all checks at once, each for a bounded time.

A check that hangs is left behind (`abandon_after`), so that a frozen server makes an answer no later than the timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .abandon import abandon_after
from .checks import require
from .clock import Clock, system_clock
from .events import Event, Listener, emit


class Status(StrEnum):
    """How well something is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Check:
    """How to find out whether one dependency is well.

    name:     of the dependency.
    probe:    returns if it is well, raises if not.
    timeout:  seconds after which it counts as unhealthy, more than 0, all tries included.
    slow:     seconds from which it is degraded, more than 0; so is one that needed a second try.
    retries:  tries after a first one that failed, at least 0. retry_wait: seconds between, at least 0.
    critical: the whole is unhealthy while this is; an unhealthy dependency that is not critical only degrades it.
    """

    name: str
    probe: Callable[[], Awaitable[object]]
    timeout: float = 1.0
    slow: float = 0.5
    retries: int = 0
    retry_wait: float = 0.1
    critical: bool = True

    def __post_init__(self) -> None:
        for name in ("timeout", "slow"):
            require(getattr(self, name) > 0, name, "more than 0", getattr(self, name))
        for name in ("retries", "retry_wait"):
            require(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found.

    seconds:  how long the answer took, tries and waits included.
    error:    type and text of the last failure, None if there was none. cause: that error itself.
    attempts: tries that it took.
    """

    status: Status
    seconds: float
    error: str | None = None
    attempts: int = 1
    cause: Exception | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks found: the whole, and each by its name."""

    status: Status
    results: Mapping[str, Result]


class HealthRegistry:
    """The checks of a process.

    listener: told `health.changed` (from, to) of each check whose status is not what it was.

    >>> async def ping(): ...
    >>> registry = HealthRegistry([Check("store", ping, timeout=60.0, slow=30.0)])
    >>> report = asyncio.run(registry.check())
    >>> report.status, report.results["store"].status
    (<Status.HEALTHY: 'healthy'>, <Status.HEALTHY: 'healthy'>)
    """

    def __init__(
        self, checks: Iterable[Check] = (), *, clock: Clock = system_clock, listener: Listener | None = None
    ) -> None:
        self._checks = dict[str, Check]()
        self._last = dict[str, Status]()
        self._clock = clock
        self._listener = listener
        for check in checks:
            self.register(check)

    @property
    def names(self) -> list[str]:
        return list(self._checks)

    def register(self, check: Check) -> None:
        """Add a check; ValueError if there is one of its name."""
        if check.name in self._checks:
            raise ValueError(f"there is a check named {check.name!r} already")
        self._checks[check.name] = check

    def deregister(self, name: str) -> None:
        """Forget a check; KeyError if there is none of that name."""
        del self._checks[name]
        self._last.pop(name, None)

    async def check(self, *names: str) -> Report:
        """Run the checks of these names, or all, at the same time; KeyError for a name that is not there."""
        checks = [self._checks[name] for name in names or self._checks]
        results = await check_all(checks, clock=self._clock)
        for name, result in results.items():
            self._tell(name, result.status)
        return Report(_overall(checks, results), results)

    def _tell(self, name: str, status: Status) -> None:
        before = self._last.get(name)
        self._last[name] = status
        if self._listener is not None and before is not status:
            emit(self._listener, Event("health.changed", name, {"from": before or "unknown", "to": status.value}))


async def check_all(checks: Iterable[Check], *, clock: Clock = system_clock) -> dict[str, Result]:
    """The result of each check by its name, after at most the longest timeout."""
    listed = list(checks)
    results = await asyncio.gather(*(_check(check, clock) for check in listed))
    return {check.name: result for check, result in zip(listed, results, strict=True)}


def _overall(checks: list[Check], results: Mapping[str, Result]) -> Status:
    if any(check.critical and results[check.name].status is Status.UNHEALTHY for check in checks):
        return Status.UNHEALTHY
    well = all(result.status is Status.HEALTHY for result in results.values())
    return Status.HEALTHY if well else Status.DEGRADED


async def _check(check: Check, clock: Clock) -> Result:
    began = clock.monotonic()
    tries = _Tries(check, clock)
    try:
        await abandon_after(check.timeout, tries.run(), clock=clock)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return Result(Status.UNHEALTHY, clock.monotonic() - began, _text(error), tries.made, error)
    seconds = clock.monotonic() - began
    well = seconds < check.slow and tries.made == 1
    text = None if tries.error is None else _text(tries.error)
    return Result(Status.HEALTHY if well else Status.DEGRADED, seconds, text, tries.made, tries.error)


class _Tries:
    """The tries of one check, and what there is to say of them even when time runs out among them."""

    def __init__(self, check: Check, clock: Clock) -> None:
        self.made = 0
        self.error: Exception | None = None
        self._check = check
        self._clock = clock

    async def run(self) -> None:
        while True:
            self.made += 1
            try:
                await self._check.probe()
            except Exception as error:
                self.error = error
                if self.made > self._check.retries:
                    raise
            else:
                return
            await self._clock.sleep(self._check.retry_wait)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
