"""A backlog drains as fast as store and ledger bear, and leaves room for fresh traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from holdfast.errors import Unavailable
from holdfast.operations.model import State
from holdfast.operations.pace import Pace, PaceOptions
from holdfast.operations.replay import ReplayOptions
from tests.support.engine import World, operation, pass_time


def test_batches_grow_step_by_step_while_they_are_quick_and_halve_when_one_is_slow() -> None:
    pace = Pace(PaceOptions(smallest=10, largest=100, target=0.1, step=30, shrink=0.5))
    sizes = [pace.size]
    for seconds in (0.05, 0.05, 0.05, 0.05, 0.2, 0.2, 0.2, 0.2, 0.1):
        pace.took(seconds)
        sizes.append(pace.size)
    assert sizes == [10, 40, 70, 100, 100, 50, 25, 12, 10, 40]


async def test_a_drain_begins_gently_after_an_outage() -> None:
    world = World(replay=ReplayOptions(lanes=1, pace=PaceOptions(smallest=2, largest=100, step=4, rest=0)))
    for n in range(40):
        await world.writer.write(operation(resource=f"notes/{n}"), hold_at_once=True)
    batches = []

    async def look(work: Callable[[], Awaitable[Any]]) -> Any:
        running, _ = await world.ledger.port.list_jobs(state=State.RUNNING, cursor=None, limit=100)
        batches.append(len(running))
        return await work()

    async def away(work: Callable[[], Awaitable[Any]]) -> Any:
        await look(work)
        raise Unavailable("away")

    world.store.next("apply", look, look, away, look)
    while await world.replayer.replay() or len(batches) < 4:
        await pass_time(world, 60.0)
    assert batches == [2, 6, 10, 2]


def slowly(world: World) -> Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]:
    """The store answers after 0.2 s."""

    async def slow(work: Callable[[], Awaitable[Any]]) -> Any:
        world.clock.advance(0.2)
        return await work()

    return slow


async def test_a_drain_rests_after_each_batch_in_proportion_to_the_time_that_it_took() -> None:
    world = World(replay=ReplayOptions(lanes=1, pace=PaceOptions(smallest=2, largest=2, rest=0.5)))
    for n in range(6):
        await world.writer.write(operation(resource=f"notes/{n}"), hold_at_once=True)

    slow = slowly(world)
    world.store.next("apply", slow, slow)
    replaying = asyncio.create_task(world.replayer.replay())
    applied = []
    for seconds in (0.0, 0.09, 0.02, 0.09, 0.02):
        await pass_time(world, seconds)
        applied.append(world.store.calls.count("apply"))
    assert applied == [1, 1, 2, 2, 3]
    while not replaying.done():
        await pass_time(world, 1.0)
    assert replaying.result() == 6


async def test_a_drain_that_rests_for_long_ends_soon_after_it_is_told_to_stop() -> None:
    world = World(replay=ReplayOptions(lanes=1, pace=PaceOptions(smallest=2, largest=2, rest=100)))
    for n in range(6):
        await world.writer.write(operation(resource=f"notes/{n}"), hold_at_once=True)

    world.store.next("apply", slowly(world))
    replaying = asyncio.create_task(world.replayer.replay())
    await pass_time(world, 2.0)
    assert not replaying.done(), "it rests for 20 s"
    world.replayer.stop()
    await pass_time(world, 0.5)
    assert replaying.done()
    assert replaying.result() == 2


@pytest.mark.parametrize(
    "wrong", [{"smallest": 0}, {"smallest": 9, "largest": 8}, {"step": 0}, {"target": 0}, {"shrink": 1}, {"rest": -1}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needed"):
        PaceOptions(**wrong)
