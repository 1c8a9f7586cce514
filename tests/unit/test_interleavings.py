"""Any two flows that race may be interleaved at any of their steps, either way, and no guarantee breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import product

import pytest

from chaos.checker import check
from chaos.history import Event
from holdfast.errors import HoldfastError
from holdfast.testing.faults import lost, refused
from tests.support.engine import World
from tests.support.flaws import FLAWS
from tests.support.interleaving import LONG, Flow, Prepare, Scene, interleave, solo

EIGHT_DAYS = 8 * 86_400.0


# What has happened before


async def nothing_waits(scene: Scene) -> None:
    await scene.send(scene.process(), "replace", "base")


async def two_wait(scene: Scene) -> None:
    await nothing_waits(scene)
    await scene.send(scene.process(), "merge", "h1", hold=True)
    await scene.send(scene.process(), "merge", "h2", key="h2", hold=True)


async def one_waits_for_days_that_took_effect(scene: Scene) -> None:
    await nothing_waits(scene)
    world = scene.process()
    world.store.next("apply", lost)
    await scene.send(world, "merge", "twin", key="twin")
    scene.clock.advance(EIGHT_DAYS)


# The flows


async def live_write(scene: Scene, world: World) -> None:
    await scene.send(world, "merge", next(scene.tags))


async def same_key(scene: Scene, world: World) -> None:
    await scene.send(world, "merge", "twin", key="twin")


async def hold(scene: Scene, world: World) -> None:
    await scene.send(world, "merge", next(scene.tags), hold=True)


async def ungated_write(scene: Scene, world: World) -> None:
    world.ledger.down = refused
    await scene.send(world, "merge", next(scene.tags))


async def replay(scene: Scene, world: World) -> None:
    await world.replayer.replay()


async def sweep(scene: Scene, world: World) -> None:
    with suppress(HoldfastError):
        await world.sweeper.sweep()
    await world.replayer.replay(world.rung)


async def cancel(scene: Scene, world: World) -> None:
    for job in scene.jobs[:1]:
        with suppress(HoldfastError):
            await world.jobs.cancel(job)


async def prune(scene: Scene, world: World) -> None:
    with suppress(HoldfastError):
        await world.sweeper.prune()


async def read(scene: Scene, world: World) -> None:
    await scene.send(world, "read", None)


FLOWS: tuple[Flow, ...] = (live_write, same_key, hold, ungated_write, replay, sweep, cancel, prune, read)
BEFORE: tuple[Prepare, ...] = (nothing_waits, two_wait, one_waits_for_days_that_took_effect)
# Stopped both at once, each at each of its points.
RACES: tuple[tuple[Prepare, Flow, Flow], ...] = (
    (nothing_waits, same_key, same_key),
    (nothing_waits, live_write, hold),
    (nothing_waits, live_write, live_write),
    (two_wait, live_write, replay),
    (two_wait, replay, replay),
    (two_wait, cancel, replay),
    (two_wait, sweep, replay),
    (two_wait, ungated_write, replay),
    (two_wait, hold, replay),
    (one_waits_for_days_that_took_effect, prune, same_key),
    (one_waits_for_days_that_took_effect, prune, replay),
)

# By what is missing: where the first of two flows stands, and for how long, so that the other does harm.
LOST: dict[str, tuple[Prepare, tuple[Flow, Flow], str, float]] = {
    "the operation id's uniqueness": (nothing_waits, (same_key, same_key), "apply.before", 0.0),
    "the gate": (nothing_waits, (live_write, live_write), "apply.before", LONG),
    "the compare at settle": (two_wait, (replay, hold), "settle.before", LONG),
    "the lease": (two_wait, (replay, cancel), "replay.before", 0.0),
    "the end of a lease": (nothing_waits, (replay, hold), "lease.before", LONG),
    "the cache's version check": (nothing_waits, (live_write, live_write), "cache.before", 0.0),
    "202 only when it is durable": (nothing_waits, (hold, live_write), "hold.before", LONG),
}


def named(flows: tuple[Callable[..., Awaitable[None]], ...]) -> str:
    return "-".join(flow.__name__ for flow in flows)


def broken(events: list[Event]) -> set[str]:
    """A held write may give way to a direct one: a ledger that does not answer for long is one that is away."""
    return {str(each) for each in check(events, settle_within=1000.0, allow={"superseded"})}


@pytest.mark.parametrize("before", BEFORE, ids=lambda before: before.__name__)
@pytest.mark.parametrize("flows", list(product(FLOWS, FLOWS)), ids=named)
def test_one_may_stand_at_any_step_while_the_other_runs(before: Prepare, flows: tuple[Flow, Flow]) -> None:
    async def run() -> None:
        points = await solo(before, flows[0])
        for number, point in enumerate(points):
            for pause in (0.0, LONG):
                events = await interleave(before, flows, (number, None), pause=pause)
                assert broken(events) == set(), f"stopped at {point}, pausing for {pause:g} s"

    asyncio.run(run())


@pytest.mark.parametrize("race", RACES, ids=named)
def test_both_may_stand_and_either_goes_on_first(race: tuple[Prepare, Flow, Flow]) -> None:
    before, *pair = race
    flows = (pair[0], pair[1])

    async def run() -> None:
        first, second = await solo(before, flows[0]), await solo(before, flows[1])
        for one, other, order in product(range(len(first)), range(len(second)), (0, 1)):
            events = await interleave(before, flows, (one, other), first=order)
            assert broken(events) == set(), f"stopped at {first[one]} and {second[other]}, {order} goes first"

    asyncio.run(run())


@pytest.mark.parametrize("safeguard", LOST)
def test_without_its_safeguard_the_race_is_lost(safeguard: str) -> None:
    before, flows, point, pause = LOST[safeguard]

    async def run() -> None:
        stop = (await solo(before, flows[0])).index(point)
        assert broken(await interleave(before, flows, (stop, None), pause=pause)) == set()
        assert broken(await interleave(before, flows, (stop, None), pause=pause, parts=FLAWS[safeguard][0])) != set()

    asyncio.run(run())
