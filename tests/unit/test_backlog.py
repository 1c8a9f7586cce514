"""What a process knows of the backlog when the ledger cannot be asked any more."""

from __future__ import annotations

import pytest

from holdfast.errors import Unavailable
from holdfast.operations.model import Fault, Resource
from holdfast.operations.ports import Done, Settlement
from holdfast.testing.faults import refused
from tests.support.engine import World, operation


async def test_a_backlog_that_fills_and_empties_elsewhere_is_known_after_a_look() -> None:
    world = World()
    peer = world.peer()
    await peer.writer.write(operation(), hold_at_once=True)
    assert Resource("notes", "1") not in world.backlog
    await world.backlog.refresh()
    assert Resource("notes", "1") in world.backlog
    await peer.replayer.replay()
    await world.backlog.refresh()
    assert Resource("notes", "1") not in world.backlog


async def test_an_emptied_mailbox_is_forgotten_by_the_next_full_look_though_others_are_not_empty() -> None:
    world = World()
    peer = world.peer()
    await peer.writer.write(operation(resource="notes/1"), hold_at_once=True)
    await world.backlog.refresh()
    await peer.replayer.replay()
    await peer.writer.write(operation(resource="notes/2"), hold_at_once=True)
    for _ in range(30):
        await world.backlog.refresh()
    assert Resource("notes", "1") not in world.backlog
    assert Resource("notes", "2") in world.backlog


async def test_a_failed_look_forgets_nothing() -> None:
    world = World()
    world.store.down = refused
    await world.writer.write(operation())
    world.ledger.down = refused
    with pytest.raises(Unavailable):
        await world.backlog.refresh()
    assert Resource("notes", "1") in world.backlog


async def test_the_time_to_drain_follows_the_rate_that_is_seen() -> None:
    world = World()
    for n in range(100):
        await world.writer.write(operation(resource=f"notes/{n}"), hold_at_once=True)
    await world.backlog.refresh()
    for _ in range(15):
        await replay_a_batch(world)
        world.clock.advance(1.0)
        await world.backlog.refresh()
    assert world.backlog.waiting == 25
    assert 2 < world.backlog.seconds_to_drain() <= 25 / 5


async def replay_a_batch(world: World) -> None:
    """Settle five operations."""
    leases = await world.ledger.port.lease(limit=5, depth=1, ttl=60.0)
    results = await world.store.port.apply([lease.jobs[0].operation for lease in leases])
    await world.ledger.port.settle(
        [
            Settlement(lease, (Done(lease.jobs[0].operation.id, result),))
            for lease, result in zip(leases, results, strict=True)
            if not isinstance(result, Fault)
        ]
    )
