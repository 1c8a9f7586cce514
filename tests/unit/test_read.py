"""What a reader is told, by who can be asked."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.errors import Unavailable
from holdfast.operations.model import Kind, Resource
from holdfast.operations.write import Accepted
from holdfast.testing.faults import refused, vanished
from tests.support.engine import World, operation, pass_time

NOTE = Resource("notes", "1")


async def test_a_record_comes_from_the_store_when_it_can_be_asked() -> None:
    world = World()
    await world.writer.write(operation(payload={"n": 1}))
    reading = await world.reader.get(NOTE)
    assert reading.record is not None
    assert (reading.record.data, reading.cached_at, reading.pending) == ({"n": 1}, None, None)


async def test_no_record_and_a_deleted_one_are_both_nothing() -> None:
    world = World()
    assert (await world.reader.get(NOTE)).record is None
    await world.writer.write(operation())
    await world.writer.write(operation(Kind.DELETE))
    assert (await world.reader.get(NOTE)).record is None


async def test_while_the_store_is_down_the_last_known_record_is_shown_with_its_age() -> None:
    world = World()
    await world.writer.write(operation(payload={"n": 1}))
    await world.refresher.join()
    known_at = world.clock.time()
    await pass_time(world, 60)
    world.store.down = refused
    reading = await world.reader.get(NOTE)
    assert reading.record is not None
    assert reading.record.data == {"n": 1}
    assert reading.cached_at == known_at


async def test_a_read_makes_a_record_known_to_the_cache() -> None:
    world = World()
    world.cache.down = refused
    await world.writer.write(operation(payload={"n": 1}))
    await world.refresher.join()
    world.cache.down = None
    reader = world.peer()
    await reader.reader.get(NOTE)
    await reader.refresher.join()
    reader.store.down = refused
    assert (await reader.reader.get(NOTE)).record is not None


async def test_a_record_deleted_while_it_was_cached_is_not_brought_back_by_an_outage() -> None:
    world = World()
    await world.writer.write(operation())
    await world.writer.write(operation(Kind.DELETE))
    await world.refresher.join()
    world.store.down = refused
    reading = await world.reader.get(NOTE)
    assert (reading.record, reading.cached_at is None) == (None, False)


async def test_when_neither_store_nor_cache_knows_the_read_fails_clearly() -> None:
    world = World()
    world.store.down = refused
    with pytest.raises(Unavailable, match="notes/1"):
        await world.reader.get(NOTE)


async def test_while_the_ledger_is_away_reads_go_on_and_do_not_claim_that_nothing_waits() -> None:
    world = World()
    await world.writer.write(operation())
    world.ledger.next("last_waiting", refused, vanished)
    for known in (False, False, True):
        reading = await world.reader.get(NOTE)
        assert (reading.record is not None, reading.pending_known, reading.pending) == (True, known, None)


async def test_a_record_with_held_operations_says_so_and_can_be_shown_with_them_applied() -> None:
    world = World()
    await world.writer.write(operation(payload={"n": 1}))
    await world.refresher.join()
    world.store.down = refused
    await world.writer.write(operation(Kind.MERGE, payload={"m": 2}))
    last = await world.writer.write(operation(Kind.MERGE, payload={"n": None}))
    assert isinstance(last, Accepted)
    plain = await world.reader.get(NOTE)
    applied = await world.reader.get(NOTE, apply_pending=True)
    assert plain.record is not None
    assert applied.record is not None
    assert plain.record.data == {"n": 1}
    assert (applied.record.data, applied.record.version) == ({"m": 2}, 3)
    assert plain.pending == applied.pending == last.job.operation.id


async def test_a_record_that_is_created_while_the_store_is_down_can_be_shown_as_it_will_be() -> None:
    world = World()
    world.store.down = refused
    await world.writer.write(operation(Kind.CREATE, payload={"n": 1}))
    with pytest.raises(Unavailable):
        await world.reader.get(NOTE)
    reading = await world.reader.get(NOTE, apply_pending=True)
    assert reading.record is not None
    assert reading.record.data == {"n": 1}


async def test_reads_of_the_same_moment_share_their_round_trips() -> None:
    world = World()
    await asyncio.gather(*(world.reader.get(Resource("notes", str(n))) for n in range(50)))
    assert world.store.calls == ["read"]
