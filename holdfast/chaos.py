"""Inject latency, faults and wrong outcomes into calls, to see what the code around them makes of it.

It does nothing until it is enabled. With a seed, the same sequence of calls meets the same sequence of injections.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from .checks import require
from .clock import Clock, system_clock
from .errors import Unavailable
from .events import Event, Listener, emit
from .policy import FunctionGuard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

P = ParamSpec("P")
T = TypeVar("T")


def injected_fault() -> Exception:
    """The default fault.

    >>> injected_fault()
    Unavailable('injected')
    """
    return Unavailable("injected")


class Chaos(FunctionGuard):
    """Delays, fails or answers a part of the calls in place of what they would have done.

    enabled:      off by default; may be set at any time.
    latency:      seconds added before the call, at least 0. latency_rate: fraction of calls, from 0 to 1.
    fault:        makes the error that is raised instead of calling. fault_rate: fraction of calls.
    outcome:      makes the result that is returned instead of calling. outcome_rate: fraction of calls.
    seed:         makes the choices repeatable.
    listener:     told `chaos.injected` (kind: `latency`, `fault` or `outcome`).

    The three are drawn independently; a call may be late and then fail. A fault goes before an outcome.

    >>> chaos = Chaos(fault_rate=1.0)
    >>> chaos.call(abs, -1)  # or as a decorator; or acall
    1
    >>> chaos.enabled = True
    >>> chaos.call(abs, -1)
    Traceback (most recent call last):
        ...
    holdfast.errors.Unavailable: injected
    """

    def __init__(
        self,
        *,
        name: str = "chaos",
        enabled: bool = False,
        latency: float = 1.0,
        latency_rate: float = 0.0,
        fault: Callable[[], Exception] = injected_fault,
        fault_rate: float = 0.0,
        outcome: Callable[[], Any] | None = None,
        outcome_rate: float = 0.0,
        seed: int | None = None,
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        for option, rate in (("latency", latency_rate), ("fault", fault_rate), ("outcome", outcome_rate)):
            require(0 <= rate <= 1, f"{option}_rate", "from 0 to 1", rate)
        require(0 <= latency < float("inf"), "latency", "at least 0 and finite", latency)
        if outcome_rate and outcome is None:
            raise ValueError(f"outcome must be given for an outcome_rate of {outcome_rate}")
        self.name = name
        self.enabled = enabled
        self._latency = latency
        self._fault = fault
        self._outcome = outcome
        self._rates = latency_rate, fault_rate, outcome_rate
        self._random = random.Random(seed)  # noqa: S311 - nothing secret
        self._lock = threading.Lock()
        self._clock = clock
        self._listener = listener

    def _guard(self, fn: Callable[P, T]) -> Callable[P, T]:
        def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            if self.enabled:
                late, fails, answers = self._draw()
                if late:
                    self._clock.pause(self._latency)
                if fails:
                    raise self._fault()
                if answers and self._outcome is not None:
                    return self._outcome()
            return fn(*args, **kwargs)

        return guarded

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def guarded(*args, **kwargs):  # type: ignore[no-untyped-def]
            if self.enabled:
                late, fails, answers = self._draw()
                if late:
                    await self._clock.sleep(self._latency)
                if fails:
                    raise self._fault()
                if answers and self._outcome is not None:
                    return self._outcome()
            return await fn(*args, **kwargs)

        return guarded

    def _draw(self) -> list[bool]:
        """What befalls a call; three numbers are drawn for each, so that changing one rate moves no other choice."""
        with self._lock:
            late, fails, answers = (self._random.random() < rate for rate in self._rates)
        drawn = [late, fails, answers and not fails]
        for kind, befalls in zip(("latency", "fault", "outcome"), drawn, strict=True):
            if befalls and self._listener is not None:
                emit(self._listener, Event("chaos.injected", self.name, {"kind": kind}))
        return drawn
