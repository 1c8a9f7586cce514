"""A rate limit that many processes share, in Redis or Valkey: GCRA in one atomic step, by the server's clock.

Source of the algorithm: ITU-T I.371, annex A, as in `holdfast.ratelimit`; there is one key for each limit.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Literal, ParamSpec, TypeVar

from holdfast.clock import Clock, system_clock
from holdfast.deadline import remaining
from holdfast.errors import RateLimited, Rejected, Transient, Unavailable
from holdfast.events import Event, Listener, emit
from holdfast.policy import FunctionGuard
from holdfast.ratelimit import Rate, RateLimiter

from .redis_server import RedisServer, Script

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

# KEYS[1]: the limit. ARGV: microseconds between two calls, those that the burst is worth, cost, and the longest wait.
# Returns microseconds to wait, negative where that is too long and nothing was spent.
_ADMIT = """#!lua
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, cost, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local arrival = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0)) + cost * interval
local wait = math.max(0, arrival - burst - now)
if wait > longest then return -math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000) + 1)
return math.ceil(wait)
"""
# Gives back what a caller took who then left: KEYS[1]: the limit. ARGV[1]: microseconds.
_GIVE_BACK = """#!lua
local arrival = redis.call('GET', KEYS[1])
if arrival then redis.call('SET', KEYS[1], string.format('%.0f', arrival - ARGV[1]), 'KEEPTTL') end
"""
_LONGEST = 1e15

WhenAway = Literal["local", "open", "closed"]


class RedisRateLimiter(FunctionGuard):
    """Like `RateLimiter`, for all processes that use the same server and name. Async calls only.

    server:    where it is counted; owned and closed by the caller. Its timeout is the most that a call waits for it.
    max_wait:  seconds that a guarded call waits for its turn before it is refused, at least 0.
    when_away: what holds while the server cannot be asked: `local`, the same rate for this process alone; `open`,
               no limit; `closed`, every call is refused with Unavailable.
    listener:  told `rate_limit.rejected` (retry_after).
    """

    def __init__(
        self,
        server: RedisServer,
        rate: Rate,
        *,
        name: str,
        prefix: str = "holdfast:rate:",
        max_wait: float = 0.0,
        when_away: WhenAway = "local",
        clock: Clock = system_clock,
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        self.rate = rate
        self.max_wait = max_wait
        self._server = server
        self._key = f"{prefix}{name}".encode()
        self._admit = Script(_ADMIT)
        self._give_back = Script(_GIVE_BACK)
        self._when_away = when_away
        self._local = RateLimiter(rate, name=name, max_wait=max_wait, clock=clock, listener=listener)
        self._clock = clock
        self._listener = listener
        self._away = False

    async def check(self, cost: int = 1) -> None:
        """Admit a call now or raise RateLimited; a refused call spends nothing."""
        await self.wait(cost, max_wait=0.0)

    async def wait(self, cost: int = 1, *, max_wait: float = float("inf")) -> None:
        """Return when the call may go; raise RateLimited at once if that is over `max_wait` seconds away.

        A cancelled caller gives its place back. Raises Unavailable where the server is away and that is `closed`.
        """
        if not 1 <= cost <= self.rate.burst:
            raise ValueError(f"cost must be between 1 and the burst of {self.rate.burst}, got {cost}")
        try:
            delay = await self._ask(cost, min(max_wait, remaining(self._clock)))
        except (Transient, Rejected) as error:
            await self._without(cost, max_wait, error)
            return
        self._is_back()
        if delay < 0:
            if self._listener is not None:
                emit(self._listener, Event("rate_limit.rejected", self.name, {"retry_after": -delay}))
            raise RateLimited(f"rate limit {self.name} reached", retry_after=-delay)
        if delay:
            await self._sit_out(delay, cost)

    def _guard_async(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            await self.wait(max_wait=self.max_wait)
            return await fn(*args, **kwargs)

        return guarded

    async def _ask(self, cost: int, max_wait: float) -> float:
        interval = self.rate.interval * 1e6
        words = (f"{interval}", f"{interval * self.rate.burst}", cost, f"{min(max_wait * 1e6, _LONGEST)}")
        return int(await self._server.run(self._admit, 1, self._key, *words)) / 1e6

    async def _sit_out(self, delay: float, cost: int) -> None:
        try:
            await self._clock.sleep(delay)
        except BaseException:
            # Who was cancelled must stay so, also where the place cannot be given back.
            with suppress(Exception):
                await self._server.run(self._give_back, 1, self._key, f"{cost * self.rate.interval * 1e6:.0f}")
            raise

    async def _without(self, cost: int, max_wait: float, error: Exception) -> None:
        if not self._away:
            self._away = True
            log.warning("rate limit %s: the server is away, it is %s: %s", self.name, self._when_away, error)
        if self._when_away == "closed":
            raise Unavailable(f"rate limit {self.name} cannot be asked: {error}") from error
        if self._when_away == "local":
            await self._local.wait(cost, max_wait=max_wait)

    def _is_back(self) -> None:
        if self._away:
            self._away = False
            log.info("rate limit %s: the server is back", self.name)
