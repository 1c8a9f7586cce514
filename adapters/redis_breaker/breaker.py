"""The breaker around a call: judged here while it is closed, shared by all processes while it is not."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, ParamSpec, Self, TypeVar
from uuid import uuid4

from redis.exceptions import RedisError

from holdfast.breaker import BreakerOptions, CircuitBreaker, Failure, Snapshot, State, Verdict, classify
from holdfast.errors import CircuitOpen, Rejected, Transient
from holdfast.events import Event, Listener, emit
from holdfast.policy import FunctionGuard

from ..redis_server import RedisServer
from .shared import Shared, SharedState

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

# Why the local breaker changes where we make it; what these changes mean is told as the shared state's.
_BY_US = frozenset({"isolated", "released", "reset"})


class RedisBreaker(FunctionGuard):
    """Like `CircuitBreaker`, for all processes that use the same server and name. Async calls only, on one event loop.

    While it is closed each process judges by its own calls, without asking the server; the first to open opens for all.
    Use it within `async with`, or between `start` and `close`: a task follows the shared state in between, and
    outside of that a call raises RuntimeError.

    server:   where the state is; owned and closed by the caller. Its timeout is the most that a call waits for it.
    options:  as for `CircuitBreaker`; `probes`, `probe_lease` and `probe_successes` hold for all processes together.
    refresh:  seconds between two looks at the shared state, more than 0: how late another's opening may be seen.
    listener: told `breaker.state_changed` (from, to, reason) and `breaker.rejected` (state, retry_after).

    While the server is away, or frozen, a breaker of this process alone decides. What the server said last holds as
    long as it was going to: one that was open lets local probes through when its time is over, one that was isolated
    stays so.
    """

    def __init__(
        self,
        server: RedisServer,
        name: str,
        options: BreakerOptions | None = None,
        *,
        prefix: str = "holdfast:breaker:",
        refresh: float = 0.5,
        classify: Callable[[Exception], Verdict] = classify,
        classify_result: Callable[[Any], Verdict] | None = None,
        listener: Listener | None = None,
    ) -> None:
        if not refresh > 0:
            raise ValueError(f"refresh must be more than 0, got {refresh!r}")
        self.name = name
        self.options = options or BreakerOptions()
        self._shared = SharedState(server, f"{prefix}{name}")
        self._refresh = refresh
        self._classify, self._classify_result = classify, classify_result
        self._listener = listener
        self._local = CircuitBreaker(
            name, self.options, classify=classify, classify_result=classify_result, listener=self._hear
        )
        self._known = Shared()
        self._changes = 0
        self._since = time.time()
        self._rejected = 0
        self._away = False
        self._taken_until = 0.0
        self._asking = asyncio.Lock()
        self._wake = asyncio.Event()
        self._unsettled: deque[tuple[int, str, str, float]] = deque()
        self._last_failure: Failure | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look at the shared state, and follow it from now on; a server that is away delays this by its timeout."""
        if self._task is None:
            await self._exchange()
            self._task = asyncio.create_task(self._follow(), name=f"breaker {self.name}")

    async def close(self) -> None:
        """Follow it no longer, and deliver what is left to say. Does nothing the second time."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            await self._exchange()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def state(self) -> State:
        """What it would do with a call now, as far as this process knows."""
        until = self._known.until
        if until is not None and time.monotonic() < until:
            return State.ISOLATED if until == math.inf else State.OPEN
        return State.HALF_OPEN if self._probing else self._local.state

    def snapshot(self) -> Snapshot:
        """All that there is to say of it at this moment: the state is shared, what is counted is this process's own."""
        local = self._local.snapshot()
        said = replace(
            local,
            reason="shared" if local.reason in _BY_US else local.reason,
            rejected=local.rejected + self._rejected,
            last_failure=self._last_failure or local.last_failure,
        )
        wait = self._wait()
        if wait <= 0 and not self._probing:
            return said
        return replace(
            said, state=self.state, reason="shared", since=self._since, retry_after=self._retry_after(max(0.0, wait))
        )

    async def isolate(self) -> None:
        """Have every process refuse every call until `release` or `reset`, the others within their `refresh`.

        Raises as `RedisServer.command` does, as `release` and `reset` do: then it may hold or not; repeat it.
        """
        await self._force(self._shared.isolate())

    async def release(self) -> None:
        """End an isolation, for all processes: probes go first. Does nothing to one that is not isolated."""
        await self._force(self._shared.release())

    async def reset(self) -> None:
        """Close it for all processes, whatever it was; each begins with an empty window."""
        await self._force(self._shared.reset())

    @property
    def _probing(self) -> bool:
        """Whether, the open time being over, the server has to be asked for a probe's place."""
        return self._known.until is not None and not self._away

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            if self._task is None:
                raise RuntimeError(f"breaker {self.name!r} is not started: use it within `async with`")
            if self._known.until is not None:
                probe = await self._admit()
                if probe is not None:
                    return await self._try(probe, fn, *args, **kwargs)
            return await self._local.acall(fn, *args, **kwargs)

        return guarded

    async def _admit(self) -> tuple[int, str] | None:
        """The generation and name of a probe; None where the local breaker decides; CircuitOpen where neither."""
        self._refuse_early()
        # One question at a time: its answer may do for all who wait behind it.
        async with self._asking:
            while True:
                self._refuse_early()
                if not self._probing:
                    return None
                probe = await self._ask_for_place()
                if probe is not None:
                    return probe

    def _refuse_early(self) -> None:
        """Refuse what is known to be refused, without asking."""
        wait = self._wait()
        if wait > 0:
            raise self._refusal(wait)

    def _wait(self) -> float:
        """Seconds for which calls are refused without asking, if more than 0; infinity while it is isolated."""
        until = self._known.until
        if until is None:
            return 0.0
        return max(until, self._taken_until if self._probing else 0.0) - time.monotonic()

    async def _ask_for_place(self) -> tuple[int, str] | None:
        """A probe, or None where what is known now has to be looked at again."""
        generation, probe = self._known.generation, uuid4().hex
        lease = self._shared.lease(generation, probe, self.options.probe_lease, self.options.probes)
        try:
            answer = await self._adopt(lease)
        except BaseException:
            self._leave(generation, probe, "none")
            raise
        if answer is None:
            self._leave(generation, probe, "none")
        elif self._known.generation == generation:
            if answer.granted:
                return generation, probe
            self._taken_until = time.monotonic() + min(answer.wait, self._refresh)
        return None

    async def _try(
        self, probe: tuple[int, str], fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        judge = CircuitBreaker(
            self.name, _single(self.options), classify=self._classify, classify_result=self._classify_result
        )
        try:
            result = await judge.acall(fn, *args, **kwargs)
        except Exception:
            await self._report(probe, judge)
            raise
        except BaseException:
            # It leaves in a hurry: the task tells.
            self._leave(*probe, "none")
            raise
        await self._report(probe, judge)
        return result

    async def _report(self, probe: tuple[int, str], judge: CircuitBreaker) -> None:
        seen = judge.snapshot()
        self._last_failure = seen.last_failure or self._last_failure
        if not seen.calls:
            await self._settle(*probe, "none")
        else:
            await self._settle(*probe, "good" if seen.state is State.CLOSED else "bad")

    async def _settle(self, generation: int, probe: str, end: str) -> None:
        duration = self.options.open_for(self._known.times + 1)
        settled = self._shared.settle(generation, probe, end, duration, self.options.probe_successes)
        try:
            answer = await self._adopt(settled)
        except BaseException:
            self._leave(generation, probe, end)
            raise
        if answer is None:
            self._leave(generation, probe, end)
        self._taken_until = 0.0

    def _leave(self, generation: int, probe: str, end: str) -> None:
        """Have the task say how a probe ended."""
        self._unsettled.append((generation, probe, end, self.options.open_for(self._known.times + 1)))
        self._wake.set()

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._refresh):
                    await self._wake.wait()
            self._wake.clear()
            await self._exchange()

    async def _exchange(self) -> None:
        """Say what there is to say, and learn the shared state, or that the server is away."""
        while self._unsettled:
            settled = self._shared.settle(*self._unsettled[0], self.options.probe_successes)
            if await self._adopt(settled) is None:
                return
            self._unsettled.popleft()
        state = self._local.state
        if self._known.until is None and state in (State.OPEN, State.HALF_OPEN):
            # Half-open, where it comes to say so only when the open time is over: probes may go, for all together.
            duration = self.options.open_for(1) if state is State.OPEN else 0.0
            await self._adopt(self._shared.open(self._known.generation, duration))
        else:
            await self._adopt(self._shared.look())

    async def _adopt(self, step: Coroutine[Any, Any, Shared]) -> Shared | None:
        """Take a step and go by the state that it answers with; None while the server is away."""
        changes = self._changes
        try:
            answer = await step
        except (Transient, Rejected, RedisError) as error:
            self._leave_alone(error)
            return None
        self._believe(answer, changes)
        return answer

    async def _force(self, step: Coroutine[Any, Any, Shared]) -> None:
        """Take a step by hand: who takes it has to know whether the server has."""
        changes = self._changes
        self._believe(await step, changes)

    def _believe(self, answer: Shared, changes: int) -> None:
        """Go by what the server answered, asked when this process had seen so many changes."""
        # An older generation is news only where it was asked for later: then the server has lost the newer one.
        if answer.generation < self._known.generation and changes != self._changes:
            return
        if self._away:
            self._away = False
            log.info("breaker %s: the server is back", self.name)
        self._enter(answer)

    def _enter(self, shared: Shared) -> None:
        if shared.generation == self._known.generation:
            self._known = shared
            return
        before, self._known = self.state, shared
        self._changes += 1
        self._since = time.time()
        self._taken_until = 0.0
        # Its calls began in an older generation, and no longer count.
        self._local.reset()
        if self.state is not before:
            changed = {"from": before.value, "to": self.state.value, "reason": "shared"}
            emit(self._listener, Event("breaker.state_changed", self.name, changed))

    def _leave_alone(self, error: Exception) -> None:
        """From now on the local breaker decides; what is open now it opens only by probes."""
        if self._away:
            return
        self._away = True
        log.warning("breaker %s: the server is away, this process decides alone: %s", self.name, error)
        if self._known.until is not None:
            self._local.isolate()
            self._local.release()

    def _hear(self, event: Event) -> None:
        if event.attributes.get("reason") in _BY_US:
            return
        if event.attributes.get("to") == State.OPEN:
            self._wake.set()
        emit(self._listener, event)

    def _retry_after(self, wait: float) -> float:
        """A guess while it is isolated: nobody knows when it will be released."""
        return wait if wait < math.inf else self.options.open_for(1)

    def _refusal(self, wait: float) -> CircuitOpen:
        state, wait = self.state, self._retry_after(wait)
        self._rejected += 1
        emit(self._listener, Event("breaker.rejected", self.name, {"state": state.value, "retry_after": wait}))
        refusal = CircuitOpen(f"breaker {self.name!r} is {state}", wait)
        refusal.last_failure = self._last_failure or self._local.snapshot().last_failure
        return refusal


def _single(options: BreakerOptions) -> BreakerOptions:
    """A breaker with these says of one call what ours would: failed or slow, good, or nothing."""
    judged = replace(options, window="count", window_size=1, minimum_calls=1, failure_rate=1.0, slow_call_rate=1.0)
    return replace(judged, open_duration=3600.0)
