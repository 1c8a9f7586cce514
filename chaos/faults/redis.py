"""Redis, or Valkey, that is up and does not work. Targets are `ledger`, `cache` and `broker`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from ..system import System, to_its_end

_Options = Mapping[str, Any]
_QUEUE = "holdfast"
_OFTEN = 0.05


@asynccontextmanager
async def _client(system: System, target: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(system.server(target), socket_timeout=30)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def disconnect(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """Every connection is closed by the server, once."""
    async with _client(system, target) as client:
        await client.client_kill_filter(_type="normal", skipme=True)
    yield


@asynccontextmanager
async def fill(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """It has no memory left."""
    async with _client(system, target) as client:
        before = (await client.config_get("maxmemory"))["maxmemory"] or 0
        try:
            await to_its_end(client.config_set("maxmemory", 1))
            yield
        finally:
            await client.config_set("maxmemory", before)


@asynccontextmanager
async def empty(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """It forgets everything, once, as a server does that came back without its data."""
    async with _client(system, target) as client:
        await client.flushdb()
    yield


@asynccontextmanager
async def drop_messages(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """Messages vanish from the broker's queue as fast as they come."""
    async with _client(system, target) as client, _repeated(lambda: _drop(client)):
        yield


@asynccontextmanager
async def double_messages(system: System, target: str, _options: _Options) -> AsyncIterator[None]:
    """Messages in the broker's queue are there twice, and twice again."""
    async with _client(system, target) as client, _repeated(lambda: _double(client)):
        yield


async def _drop(client: Redis) -> None:
    await client.delete(_QUEUE)


async def _double(client: Redis) -> None:
    messages = await client.lrange(_QUEUE, 0, 100)
    if messages:
        await client.rpush(_QUEUE, *messages)


@asynccontextmanager
async def _repeated(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    async def repeat() -> None:
        while True:
            with suppress(RedisError):
                await work()
            await asyncio.sleep(_OFTEN)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
