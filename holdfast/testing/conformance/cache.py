"""The behaviour of a cache. A test class of an adapter inherits CacheContract and has a fixture `cache`, empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.operations.model import Record, Resource
from holdfast.operations.ports import Cache, Cached

NOTE = Resource("notes", "1")
NOW = 1_700_000_000.125


def record(version: int, data: Mapping[str, Any] | None = None, *, resource: Resource = NOTE) -> Record:
    return Record(resource, version, data or {"version": version}, 1_600_000_000.001, 1_650_000_000.5)


async def only(cache: Cache, resource: Resource = NOTE) -> Cached | None:
    (found,) = await cache.get([resource])
    return found


class CacheContract:
    async def test_what_was_put_is_found_with_the_time_at_which_it_was_current(self, cache: Cache) -> None:
        await cache.put([record(3)], now=NOW)
        assert await only(cache) == Cached(record(3), NOW)

    async def test_what_was_never_put_is_not_found(self, cache: Cache) -> None:
        assert await only(cache) is None

    async def test_answers_come_in_the_order_of_the_questions(self, cache: Cache) -> None:
        resources = [Resource("notes", str(n)) for n in range(5)]
        await cache.put([record(n + 1, resource=resources[n]) for n in (0, 2, 4)], now=NOW)
        found = await cache.get([resources[4], resources[1], resources[0], resources[4]])
        assert [cached and cached.record.version for cached in found] == [5, None, 1, 5]

    async def test_nothing_asked_and_nothing_put_is_fine(self, cache: Cache) -> None:
        await cache.put([], now=NOW)
        assert await cache.get([]) == []

    async def test_a_newer_version_replaces_an_older_one(self, cache: Cache) -> None:
        await cache.put([record(9)], now=NOW)
        await cache.put([record(10)], now=NOW - 5)
        assert await only(cache) == Cached(record(10), NOW - 5)

    async def test_an_older_version_never_replaces_a_newer_one(self, cache: Cache) -> None:
        await cache.put([record(10)], now=NOW)
        await cache.put([record(9)], now=NOW + 5)
        assert await only(cache) == Cached(record(10), NOW)

    async def test_the_newest_of_a_batch_wins_whatever_its_place(self, cache: Cache) -> None:
        await cache.put([record(2), record(11), record(3)], now=NOW)
        found = await only(cache)
        assert found is not None
        assert found.record.version == 11

    async def test_the_same_version_renews_the_time_and_never_sets_it_back(self, cache: Cache) -> None:
        for now in (NOW, NOW + 60, NOW + 30):
            await cache.put([record(1)], now=now)
        assert await only(cache) == Cached(record(1), NOW + 60)

    async def test_what_is_left_of_a_deleted_record_is_kept_too(self, cache: Cache) -> None:
        gone = Record(NOTE, 5, None, 1.0, 2.0)
        await cache.put([record(4)], now=NOW)
        await cache.put([gone], now=NOW)
        assert await only(cache) == Cached(gone, NOW)

    async def test_a_record_comes_back_exactly_as_it_was_put(self, cache: Cache) -> None:
        odd = Record(
            Resource("täglich", "a/b c:*?[x]/漢"),
            2**53,
            {"": None, "a.b": {"$set": [1, -2.5, 1e300, 2**70, True, "\x00é漢🎉\n"]}, "empty": {}},
            1.001,
            2.002,
            ungated_at=1.5,
        )
        await cache.put([odd], now=NOW)
        assert await only(cache, odd.resource) == Cached(odd, NOW)

    async def test_a_cache_that_works_says_so(self, cache: Cache) -> None:
        await cache.ping()
