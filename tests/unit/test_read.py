"""What a reader is told, by who can be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from holdfast.errors import Unavailable
from holdfast.operations.model import Applied, Kind, Operation, Origin, Precondition, Record, Resource
from holdfast.operations.ports import Cached
from holdfast.operations.read import Reader
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


@pytest.mark.parametrize("copied_at", [-60.0, 60.0])
async def test_of_a_replica_and_the_cache_the_newer_version_is_shown_whoever_looked_last(copied_at: float) -> None:
    world = World()
    copies = list[Record]()
    for n in (1, 2, 3):
        written = await world.writer.write(operation(payload={"n": n}))
        assert isinstance(written, Applied)
        copies.append(written.record)
        if n < 3:
            await world.refresher.join()
        if n == 2:
            world.cache.down = refused
    await world.refresher.join()
    world.cache.down, world.store.down = None, refused
    known_at = world.clock.time() + copied_at

    class Replica:
        copy = copies[0]

        async def read(self, _resources: Sequence[Resource]) -> list[Cached | None]:
            return [Cached(self.copy, known_at)]

        async def close(self) -> None: ...

    replica = Replica()
    guards = {"store_guard": world.store_guard, "ledger_guard": world.ledger_guard, "cache_guard": world.cache_guard}
    ports = {"store": world.store.port, "ledger": world.ledger.port, "cache": world.cache.port}
    reader = Reader(**guards, **ports, refresh=world.refresher.offer, replicas=replica)  # type: ignore[arg-type]
    for replica.copy, shown in ((copies[0], 2), (copies[2], 3)):
        record = (await reader.get(NOTE)).record
        assert record is not None
        assert record.version == shown


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


HELD = [
    operation(Kind.MERGE, payload={"m": 2}),
    operation(Kind.MERGE, payload={"n": None}, precondition=Precondition(match=(2,))),
    operation(Kind.DELETE),
    operation(Kind.CREATE, payload={"p": 3}),
]


@pytest.mark.parametrize("held", range(1, len(HELD) + 1))
@pytest.mark.parametrize("applied", range(len(HELD) + 1))
async def test_an_operation_that_is_applied_and_not_settled_yet_counts_once(held: int, applied: int) -> None:
    world = World()
    await world.writer.write(operation(payload={"n": 1}))
    for each in HELD[:held]:
        await world.writer.write(each, hold_at_once=True)
    await world.servers[0].apply([replace(each, origin=Origin.HELD) for each in HELD[: min(applied, held)]])
    reading = await world.reader.get(NOTE, apply_pending=True)
    expected = [(2, {"n": 1, "m": 2}), (3, {"m": 2}), None, (5, {"p": 3})][held - 1]
    assert (reading.record and (reading.record.version, reading.record.data)) == expected
    assert reading.pending == HELD[held - 1].id


async def test_two_that_were_accepted_in_the_same_millisecond_count_once_each() -> None:
    world = World()
    await world.writer.write(operation(payload={}))
    for payload in ({"n": 1}, {"m": 2}):
        held = operation(Kind.MERGE, payload=payload, at=1000.0)
        await world.writer.write(held, hold_at_once=True)
        await world.servers[0].apply([replace(held, origin=Origin.HELD)])
    reading = await world.reader.get(NOTE, apply_pending=True)
    assert reading.record is not None
    assert (reading.record.version, reading.record.data) == (3, {"n": 1, "m": 2})


async def test_what_is_settled_and_written_over_during_the_read_is_not_shown_on_top_of_it() -> None:
    world = World()
    await world.writer.write(operation(Kind.REPLACE, payload={"n": 1}), hold_at_once=True)
    ledger, waiting = world.servers[1], world.servers[1].waiting

    async def then_things_go_on(resources: Sequence[Resource]) -> list[tuple[Operation, ...]]:
        ledger.waiting = waiting  # type: ignore[method-assign]
        found = await waiting(resources)
        await world.replayer.replay([NOTE])
        await world.writer.write(operation(payload={"n": 2}))
        return found

    ledger.waiting = then_things_go_on  # type: ignore[method-assign]
    reading = await world.reader.get(NOTE, apply_pending=True)
    assert reading.record is not None
    assert (reading.record.version, reading.record.data, reading.pending) == (2, {"n": 2}, None)


async def test_another_write_of_the_same_millisecond_hides_none_that_is_held() -> None:
    world = World()
    await world.writer.write(operation(payload={"n": 1}, at=1000.0))
    await world.writer.write(operation(Kind.MERGE, payload={"m": 2}, at=1000.0), hold_at_once=True)
    reading = await world.reader.get(NOTE, apply_pending=True)
    assert reading.record is not None
    assert reading.record.data == {"n": 1, "m": 2}


async def test_reads_of_the_same_moment_share_their_round_trips() -> None:
    world = World()
    await asyncio.gather(*(world.reader.get(Resource("notes", str(n))) for n in range(50)))
    assert world.store.calls == ["read"]
