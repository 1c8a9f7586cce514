"""The memory cache behaves as a cache."""

from __future__ import annotations

import pytest

from adapters.memory_cache import MemoryCache
from holdfast.operations.ports import Cache
from holdfast.testing.conformance.cache import CacheContract


class TestMemoryCache(CacheContract):
    @pytest.fixture
    def cache(self) -> Cache:
        return MemoryCache()
