"""What an edge gets: the engine's flows, and the life of the process around them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from holdfast.breaker import CircuitBreaker, State
from holdfast.clock import system_clock
from holdfast.errors import HoldfastError
from holdfast.health import Check, HealthRegistry, Result, Status
from holdfast.operations.jobs import Jobs
from holdfast.operations.ports import LedgerStats
from holdfast.operations.read import Reader
from holdfast.operations.replay import Replayer
from holdfast.operations.sweep import Sweeper
from holdfast.operations.telling import tell
from holdfast.operations.write import Writer

from ..metrics import Metrics
from ..telemetry import Traced, untraced

log = logging.getLogger(__name__)

# After a loop has met a bug of ours, before it goes on.
_RECOVERY = 1.0
# What is closed last gets this much of a second even if the others took all the time there was.
_LEAST = 0.1

Loop = Callable[[], Awaitable[None]]


class Role(StrEnum):
    """Which of the programs a process is."""

    API = "api"
    WORKER = "worker"
    SWEEPER = "sweeper"


@dataclass(frozen=True, slots=True)
class Dependency:
    """The health of a dependency.

    seconds: how long it took to answer.
    breaker: its state, as this process has it.
    error:   what is wrong, in words that anybody may see; None if nothing is. The log has the driver's own.
    """

    status: Status
    seconds: float
    breaker: State
    error: str | None


class System:
    """One process's Holdfast, on the event loop on which it is started.

    breakers: by name: store, ledger, cache and, where there is one, broker.
    traced:   an ASGI application with a span for each request, where the process is traced.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        reader: Reader,
        jobs: Jobs,
        replayer: Replayer,
        sweeper: Sweeper,
        breakers: Mapping[str, CircuitBreaker],
        metrics: Metrics,
        checks: Sequence[Check],
        loops: Mapping[Role, Sequence[tuple[str, Loop]]],
        ledger_stats: Callable[[], Awaitable[LedgerStats]],
        flush: Callable[[], Awaitable[None]],
        closers: Sequence[Callable[[], Awaitable[None]]],
        grace: float,
        traced: Traced = untraced,
    ) -> None:
        self.writer = writer
        self.reader = reader
        self.jobs = jobs
        self.replayer = replayer
        self.sweeper = sweeper
        self.breakers = dict(breakers)
        self.metrics = metrics
        self.flush = flush
        self.traced = traced
        self._checks = HealthRegistry(checks, clock=system_clock)
        self._loops = loops
        self._ledger_stats = ledger_stats
        self._closers = list(closers)
        self._grace = grace
        self._known: dict[str, str | None] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, role: Role) -> None:
        """Begin what this role does in the background; waits for no server."""
        for name, loop in self._loops.get(role, ()):
            self._tasks.append(asyncio.create_task(self._forever(name, loop), name=name))

    async def close(self) -> None:
        """Let writes in flight be applied or held, for a bounded time; then end everything."""
        until = system_clock.monotonic() + self._grace
        self.replayer.stop()
        for task in self._tasks:
            task.cancel()
        await self._bounded(self.writer.join, until)
        await self._bounded(self.flush, until)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for close in self._closers:
            await self._bounded(close, until)

    async def health(self) -> dict[str, Dependency]:
        """Ask every dependency, each for a bounded time."""
        report = await self._checks.check()
        return {name: self._dependency(name, result) for name, result in report.results.items()}

    async def ready(self) -> bool:
        """Whether a write could be applied, or else held durably."""
        asked = [
            asyncio.ensure_future(self._checks.check(name))
            for name in self._checks.names
            if name in ("store", "ledger")
        ]
        try:
            for answer in asyncio.as_completed(asked):
                if all(result.status is not Status.UNHEALTHY for result in (await answer).results.values()):
                    return True
            return False
        finally:
            for question in asked:
                question.cancel()

    async def ledger_stats(self) -> LedgerStats | None:
        """What the ledger counts, as of now; None while it cannot be asked."""
        try:
            return await self._ledger_stats()
        except HoldfastError:
            return None

    async def render_metrics(self) -> bytes:
        """All counters as Prometheus text, the backlog as it is now where the ledger can say."""
        return self.metrics.render(await self.ledger_stats())

    def _dependency(self, name: str, result: Result) -> Dependency:
        state = self.breakers[name].state
        worse = result.status is Status.HEALTHY and state is not State.CLOSED
        if result.error != self._known.get(name):
            self._known[name] = result.error
            log.info("the health of %s: %s", name, result.error or "well")
        error = None if result.cause is None else tell(result.cause, f"the {name}")
        return Dependency(Status.DEGRADED if worse else result.status, result.seconds, state, error)

    async def _forever(self, name: str, loop: Loop) -> None:
        while True:
            try:
                await loop()
            except Exception:
                log.exception("%s failed by a fault of its own and goes on", name)
            await system_clock.sleep(_RECOVERY)

    async def _bounded(self, end: Callable[[], Awaitable[object]], until: float) -> None:
        """Call it for what is left until then; the process ends whatever comes of it."""
        try:
            async with asyncio.timeout(max(until - system_clock.monotonic(), _LEAST)):
                await end()
        except TimeoutError:
            log.warning("not ended in time: %s", _name_of(end))
        except Exception:
            log.exception("failed in ending: %s", _name_of(end))


def _name_of(end: Callable[[], Awaitable[object]]) -> str:
    return getattr(end, "__qualname__", repr(end))
