"""What reaches the cache of the records that are read and written, and how often."""

from __future__ import annotations

import pytest

from holdfast.operations.model import Applied, Record, Resource
from holdfast.operations.refresh import CacheRefresher
from holdfast.testing.faults import broken, refused
from tests.support.engine import World, operation, pass_time

NOTE = Resource("notes", "1")


async def test_the_cache_hears_of_an_unchanged_record_again_but_not_at_every_read() -> None:
    world = World()
    await world.writer.write(operation())
    await world.refresher.join()
    heard = []
    for seconds in (0, 5, 4, 2, 9):
        await pass_time(world, seconds)
        await world.reader.get(NOTE)
        await world.refresher.join()
        heard.append(world.cache.calls.count("put"))
    assert heard == [1, 1, 1, 2, 2]
    world.store.down = refused
    assert (await world.reader.get(NOTE)).cached_at == world.clock.time() - 9


async def test_no_more_records_wait_for_the_cache_than_they_may() -> None:
    world = World()
    records = [await written(world, f"notes/{n}") for n in range(5)]
    await world.refresher.join()
    world.cache.calls.clear()
    refresher = CacheRefresher(world.servers[2], world.cache_guard, clock=world.clock, capacity=3, batch=2, pause=0)
    refresher.offer(records)
    assert len(refresher._waiting) == 3
    await refresher.join()
    assert len(refresher._waiting) == 0


async def test_a_bug_of_the_cache_is_told_of_and_the_next_record_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    records = [await written(world, f"notes/{n}") for n in range(2)]
    await world.refresher.join()
    world.cache.calls.clear()
    world.cache.next("put", broken(KeyError("a bug")))
    refresher = CacheRefresher(world.cache.port, world.cache_guard, clock=world.clock, batch=1, pause=0)
    refresher.offer(records)
    await refresher.join()
    assert "1 records were not cached, by a fault of our own" in caplog.text
    assert world.cache.calls == ["put", "put"]


async def test_of_two_versions_that_wait_the_newer_one_stays() -> None:
    world = World()
    older, newer = [await written(world, "notes/1") for _ in range(2)]
    await world.refresher.join()
    refresher = CacheRefresher(world.servers[2], world.cache_guard, clock=world.clock, pause=0)
    refresher.offer([newer])
    refresher.offer([older])
    assert refresher._waiting == {NOTE: newer}
    await refresher.join()


async def written(world: World, resource: str) -> Record:
    answer = await world.writer.write(operation(resource=resource))
    assert isinstance(answer, Applied)
    return answer.record
