"""A dependency behind its deadline and its breaker.

Only calls of a closed breaker are let through; while it is not closed a probe of our own asks again, so that no
caller pays for finding out whether the other side is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVar

from ..abandon import abandon_after
from ..breaker import CircuitBreaker, Verdict
from ..clock import Clock, system_clock
from ..errors import CircuitOpen, HoldfastError, Transient
from ..events import Event, Listener, emit

T = TypeVar("T")


def classify(error: Exception) -> Verdict:
    """Only the other side's troubles speak of its health; a bug of ours or one bad operation does not."""
    return Verdict.FAILURE if isinstance(error, Transient) else Verdict.IGNORE


class Guard:
    """Calls to one dependency, on one event loop.

    breaker:  made with `classify` of this module.
    probe:    returns if the dependency can do its work now, and raises if not.
    timeout:  seconds after which a call, or a probe, is abandoned.
    listener: told `breaker.rejected` of the calls that are refused here, before they get to the breaker.
    """

    def __init__(
        self,
        breaker: CircuitBreaker,
        probe: Callable[[], Awaitable[None]],
        *,
        timeout: float,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        self.breaker = breaker
        self.timeout = timeout
        self._probe = probe
        self._clock = clock
        self._listener = listener
        self._prober: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        return self.breaker.state.passes

    @property
    def retry_after(self) -> float:
        """Seconds until it may be closed again; 0 when it is."""
        return self.breaker.snapshot().retry_after

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of `work`. Raises what it raises, Abandoned when its time is up, CircuitOpen without trying it."""
        if not self.closed:
            self._probe_in_background()
            raise self._refusal()
        return await self.breaker.acall(self._in_time, work)

    async def ready(self) -> bool:
        """Whether calls are let through; an open breaker whose time is over is probed first."""
        if self.closed:
            return True
        try:
            await self.breaker.acall(self._in_time, self._probe)
        except HoldfastError:
            return False
        return self.closed

    async def close(self) -> None:
        """End the probing in the background."""
        if self._prober is not None:
            self._prober.cancel()
            await asyncio.wait([self._prober])

    def _refusal(self) -> CircuitOpen:
        name, wait = self.breaker.name, self.retry_after
        emit(self._listener, Event("breaker.rejected", name, {"state": self.breaker.state.value, "retry_after": wait}))
        return CircuitOpen(f"{name} is not answering", retry_after=wait)

    async def _in_time(self, work: Callable[[], Awaitable[T]]) -> T:
        return await abandon_after(self.timeout, work(), clock=self._clock)

    def _probe_in_background(self) -> None:
        if self._prober is None or self._prober.done():
            self._prober = asyncio.create_task(self._probe_until_closed(), context=Context())

    async def _probe_until_closed(self) -> None:
        while not await self.ready():
            await self._clock.sleep(min(max(self.retry_after, 0.05), 1.0))
