"""The cache in Redis or Valkey: one string for each record, its version first so that the server can compare it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from holdfast.operations.model import Record, Resource
from holdfast.operations.ports import Cached, Pool

from .codec import decode_record, encode_record, resource_text
from .redis_server import Argument, RedisOptions, RedisServer, Script

# KEYS[1]: what every key begins with. ARGV: milliseconds to live, then resource, version, time in milliseconds and
# record of each. A record that is too large comes empty: it takes the place of older versions and is not found.
_PUT = """#!lua
for at = 2, #ARGV, 4 do
  local key, version, time = KEYS[1] .. ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local known, known_at = string.match(redis.call('GETRANGE', key, 0, 63), '^(%d+) (%d+) ')
  known, known_at = tonumber(known or 0), tonumber(known_at or 0)
  if version > known or (version == known and time > known_at) then
    redis.call('SET', key, table.concat({ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]}, ' '), 'PX', ARGV[1])
  end
end
"""


@dataclass(frozen=True, slots=True)
class RedisCacheOptions(RedisOptions):
    """How to reach the server, and what to keep there.

    prefix:   of every key.
    ttl:      seconds after which a record is forgotten that was not put again.
    max_item: bytes of JSON; a larger record is not kept.
    """

    prefix: str = "holdfast:record:"
    ttl: float = 604_800.0
    max_item: int = 262_144

    def __post_init__(self) -> None:
        RedisOptions.__post_init__(self)
        if self.ttl <= 0 or self.max_item < 1:
            raise ValueError(f"ttl and max_item must be positive, got {self}")


class RedisCache:
    """Shared by any number of processes. The server may evict what it likes."""

    def __init__(self, options: RedisCacheOptions) -> None:
        self._options = options
        self._prefix = options.prefix.encode()
        self._put = Script(_PUT)
        self._server = RedisServer(options, name="holdfast-cache")

    async def put(self, records: Sequence[Record], *, now: float) -> None:
        if records:
            await self._server.run(self._put, 1, self._prefix, self._ttl, *self._items(records, now))

    async def get(self, resources: Sequence[Resource]) -> list[Cached | None]:
        if not resources:
            return []
        found = await self._server.command("MGET", *(self._prefix + resource_text(resource) for resource in resources))
        return [_cached(value) for value in found]

    async def ping(self) -> None:
        await self._server.command("PING")

    def pool(self) -> Pool:
        return self._server.pool()

    async def close(self) -> None:
        await self._server.close()

    @property
    def _ttl(self) -> int:
        return max(1, round(self._options.ttl * 1000))

    def _items(self, records: Sequence[Record], now: float) -> Iterator[Argument]:
        for record in records:
            data = encode_record(record)
            yield resource_text(record.resource)
            yield record.version
            yield round(now * 1000)
            yield data if len(data) <= self._options.max_item else b""


def _cached(value: bytes | None) -> Cached | None:
    if value is None:
        return None
    _, stored_at, data = value.split(b" ", 2)
    return Cached(decode_record(data), int(stored_at) / 1000) if data else None
