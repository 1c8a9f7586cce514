"""The cache in Redis behaves as a cache."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.redis_cache import RedisCache, RedisCacheOptions
from holdfast.operations.ports import Cache
from holdfast.testing.conformance.cache import CacheContract
from tests.support.ledgers import PATIENT


class TestRedisCache(CacheContract):
    @pytest.fixture
    async def cache(self, valkey_url: str) -> AsyncIterator[Cache]:
        cache = RedisCache(RedisCacheOptions(valkey_url, **PATIENT))
        yield cache
        await cache.close()
