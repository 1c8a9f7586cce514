"""What the processes share of a breaker: a hash, the probes' leases, and a few atomic steps, by the server's clock.

Each change of state begins a generation, numbered by the server's microseconds, so that a number never comes back even
where the server has lost all it knew. A step names the generation that it goes by, and changes nothing in another:
that is the fencing. What is done by hand goes by none: it holds whatever the state is, and the last word counts.
Within a generation the state is one: closed (`ends` is 0), isolated (-1), or open until `ends` and half-open from then
on. Every step answers with the state as it then is.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from ..redis_server import Argument, RedisServer, Script

# KEYS: the state, the probes by when their leases end. ARGV[1]: the generation that the step goes by.
_BEGIN = """#!lua
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.call('HMGET', KEYS[1], 'generation', 'ends', 'times', 'good')
local generation, ends = tonumber(kept[1] or 0), tonumber(kept[2] or 0)
local times, good = tonumber(kept[3] or 0), tonumber(kept[4] or 0)
local known = tonumber(ARGV[1]) == generation
local granted, wait = 0, 0
local function enter(new_ends, new_times)
  generation, ends, times = math.max(now, generation + 1), new_ends, new_times
  redis.call('HSET', KEYS[1], 'generation', string.format('%.0f', generation),
    'ends', string.format('%.0f', ends), 'times', times, 'good', 0)
  redis.call('DEL', KEYS[2])
end
"""
# ARGV[2]: microseconds to stay open.
_OPEN = "if known and ends == 0 then enter(now + ARGV[2], 1) end"
# ARGV: 2 the probe, 3 microseconds of its lease, 4 how many there may be. A place whose lease is over goes to another.
_LEASE = """
if known and ends > 0 and now >= ends then
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  if redis.call('ZSCORE', KEYS[2], ARGV[2]) then
    granted = 1
  elseif redis.call('ZCARD', KEYS[2]) < tonumber(ARGV[4]) then
    granted = 1
  elseif tonumber(oldest[2]) <= now then
    redis.call('ZREM', KEYS[2], oldest[1])
    granted = 1
  else
    wait = oldest[2] - now
  end
  if granted == 1 then redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', now + ARGV[3]), ARGV[2]) end
end
"""
# ARGV: 2 the probe, 3 how it ended, 4 microseconds to stay open, 5 good probes that close. Without a place: nothing.
_SETTLE = """
if known and redis.call('ZREM', KEYS[2], ARGV[2]) == 1 then
  if ARGV[3] == 'bad' then
    enter(now + ARGV[4], times + 1)
  elseif ARGV[3] == 'good' then
    good = redis.call('HINCRBY', KEYS[1], 'good', 1)
    if good >= tonumber(ARGV[5]) then enter(0, 0) end
  end
end
"""
_ISOLATE = "if ends ~= -1 then enter(-1, 0) end"
_RELEASE = "if ends == -1 then enter(now, 0) end"
# Of a closed one too: its calls so far no longer count.
_RESET = "enter(0, 0)"
_END = """
local left = -1
if ends > 0 then left = math.max(0, ends - now) elseif ends < 0 then left = -2 end
return {generation, left, times, granted, wait}
"""


@dataclass(frozen=True, slots=True)
class Shared:
    """The shared state, as a step found or left it.

    until:   monotonic seconds of this process at which it is open no more and probes may go; None: closed;
             infinity: isolated.
    times:   how often it has opened without closing between.
    granted: the probe of this step may go. wait: seconds until a place is free at the latest, where none was.
    """

    generation: int = 0
    until: float | None = None
    times: int = 0
    granted: bool = False
    wait: float = 0.0


class SharedState:
    """The steps. They raise as `RedisServer.command` does, and may be repeated: the second time adds nothing."""

    def __init__(self, server: RedisServer, key: str) -> None:
        self._server = server
        # In braces: a cluster or a proxy keeps the two together.
        self._keys = (f"{{{key}}}", f"{{{key}}}:probes")
        self._look, self._open = Script(_BEGIN + _END), Script(_BEGIN + _OPEN + _END)
        self._lease, self._settle = Script(_BEGIN + _LEASE + _END), Script(_BEGIN + _SETTLE + _END)
        self._isolate, self._release = Script(_BEGIN + _ISOLATE + _END), Script(_BEGIN + _RELEASE + _END)
        self._reset = Script(_BEGIN + _RESET + _END)

    async def look(self) -> Shared:
        return await self._run(self._look, 0)

    async def open(self, generation: int, duration: float) -> Shared:
        """Open it for `duration` seconds, if it is closed."""
        return await self._run(self._open, generation, _micros(duration))

    async def lease(self, generation: int, probe: str, duration: float, probes: int) -> Shared:
        """Take one of the places for probes for at most `duration` seconds, if it is half-open and one is free."""
        return await self._run(self._lease, generation, probe, _micros(duration), probes)

    async def settle(self, generation: int, probe: str, end: str, duration: float, successes: int) -> Shared:
        """End a probe that still has its place: `good`, `bad` (open for `duration` seconds) or `none`, as if never."""
        return await self._run(self._settle, generation, probe, end, _micros(duration), successes)

    async def isolate(self) -> Shared:
        """Let nobody through until `release` or `reset`."""
        return await self._run(self._isolate, 0)

    async def release(self) -> Shared:
        """Make it half-open, if it is isolated."""
        return await self._run(self._release, 0)

    async def reset(self) -> Shared:
        """Close it, whatever it was."""
        return await self._run(self._reset, 0)

    async def _run(self, script: Script, generation: int, *words: Argument) -> Shared:
        answer = await self._server.run(script, 2, *self._keys, generation, *words)
        number, left, times, granted, wait = map(int, answer)
        until = {-1: None, -2: math.inf}.get(left, time.monotonic() + left / 1e6)
        return Shared(number, until, times, bool(granted), wait / 1e6)


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
