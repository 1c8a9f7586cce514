"""What the cache in Redis forgets, and what it does while its server is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from adapters.redis_cache import RedisCache, RedisCacheOptions
from holdfast.errors import Transient, Unavailable
from holdfast.operations.model import Resource
from holdfast.testing.conformance.cache import NOTE, NOW, only, record
from tests.support.ledgers import PATIENT
from tests.support.polling import until_seen
from tests.support.processes import Server


@asynccontextmanager
async def redis_cache(url: str, **options: Any) -> AsyncIterator[RedisCache]:
    cache = RedisCache(RedisCacheOptions(url, **(PATIENT | options)))
    try:
        yield cache
    finally:
        await cache.close()


async def test_a_record_that_is_not_put_again_is_forgotten_in_time(valkey_url: str) -> None:
    async with redis_cache(valkey_url, ttl=600.0) as cache:
        await cache.put([record(1)], now=NOW)
        with redis.Redis.from_url(valkey_url) as operator:
            (key,) = operator.keys()
            assert 500 < operator.ttl(key) <= 600
            operator.expire(key, 10)
            await cache.put([record(1)], now=NOW + 1)
            assert 500 < operator.ttl(key) <= 600


async def test_a_record_that_is_too_large_is_not_kept_and_leaves_no_older_one(valkey_url: str) -> None:
    async with redis_cache(valkey_url, max_item=500) as cache:
        await cache.put([record(1)], now=NOW)
        await cache.put([record(2, {"text": "x" * 500})], now=NOW)
        assert await only(cache) is None
        await cache.put([record(1)], now=NOW + 1)
        assert await only(cache) is None
        await cache.put([record(3)], now=NOW + 2)
        assert (await cache.get([NOTE, Resource("no", "where")]))[0] is not None


async def test_a_full_server_evicts_and_goes_on(make_valkey: Callable[..., Server]) -> None:
    server = make_valkey("--save", "", "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
    async with redis_cache(server.url) as cache:
        for n in range(60):
            await cache.put(
                [record(1, {"text": "x" * 2000}, resource=Resource("notes", f"{n}-{m}")) for m in range(50)], now=NOW
            )
        assert (await cache.get([Resource("notes", "59-49")]))[0] is not None


async def test_while_nobody_is_there_it_says_so() -> None:
    async with redis_cache("redis://127.0.0.1:1/0") as cache:
        for call in (cache.get([NOTE]), cache.put([record(1)], now=NOW), cache.ping()):
            with pytest.raises(Unavailable):
                await call


async def test_a_frozen_server_costs_a_caller_its_deadline_and_no_more(private_valkey: Server) -> None:
    async with redis_cache(private_valkey.url) as patient:
        await patient.put([record(1)], now=NOW)
    async with redis_cache(private_valkey.url, timeout=0.2, connect_timeout=0.2) as cache:
        await until_seen(lambda: only(cache), "its connection is made")
        private_valkey.freeze()
        async with asyncio.timeout(10):
            answers = await asyncio.gather(cache.get([NOTE]), cache.put([record(2)], now=NOW), return_exceptions=True)
        assert all(isinstance(answer, Transient) for answer in answers)
        private_valkey.thaw()
        await until_seen(lambda: only(cache), "it answers again")


async def test_after_a_restart_the_first_call_works(private_valkey: Server) -> None:
    async with redis_cache(private_valkey.url) as cache:
        await asyncio.gather(*(cache.put([record(n)], now=NOW) for n in range(1, 6)))
        private_valkey.kill()
        private_valkey.start()
        await cache.put([record(9)], now=NOW)
        found = await only(cache)
        assert found is not None
        assert found.record.version == 9
