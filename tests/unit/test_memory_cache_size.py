"""What the memory cache forgets."""

from __future__ import annotations

import pytest

from adapters.memory_cache import MemoryCache
from holdfast.operations.model import Record, Resource


def record(n: int) -> Record:
    return Record(Resource("notes", str(n)), 1, {}, 1.0, 1.0)


async def test_what_was_not_used_for_the_longest_is_forgotten_first() -> None:
    cache = MemoryCache(size=3)
    await cache.put([record(1), record(2), record(3)], now=1.0)
    await cache.get([Resource("notes", "1")])
    await cache.put([record(2)], now=2.0)
    await cache.put([record(4)], now=3.0)
    found = await cache.get([Resource("notes", str(n)) for n in (1, 2, 3, 4)])
    assert [cached is not None for cached in found] == [True, True, False, True]


def test_a_cache_without_room_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        MemoryCache(size=0)
