"""Two flows of the engine, each in a process of its own, stopped at the crash points and let go in either order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from adapters.crash_points import watched
from chaos.history import Event
from chaos.wire import Change
from holdfast.operations.ports import Cache, Ledger, Store
from holdfast.testing.clock import FakeClock
from holdfast.testing.faults import refused

from .clients import Clients
from .engine import World
from .parts import Parts

RESOURCE = "notes/1"
# Seconds: past every deadline, and past a lease.
LONG = 20.0
_TURNS = 400
_DAYS = 86_400.0

Servers = tuple[Store, Ledger, Cache]


class Scene:
    """What the flows have in common. jobs: of all that was held, oldest first. tags: names for changes."""

    def __init__(self, parts: Parts | None = None) -> None:
        parts = parts or Parts()
        self.clock = FakeClock()
        self.servers: Servers = (parts.store(self.clock), parts.ledger(self.clock), parts.cache())
        self.clients = Clients(self.clock, patience=10 * _DAYS)
        self.jobs: list[str] = []
        self.tags = (f"t{number}" for number in count())
        self._prepare = parts.prepare

    def process(self, servers: Servers | None = None) -> World:
        world = World(servers=servers or self.servers, clock=self.clock)
        self._prepare(world)
        return world

    async def send(
        self, world: World, kind: str, tag: str | None, *, key: str | None = None, hold: bool = False
    ) -> None:
        answer = await self.clients.send(world, Change(kind, "notes", "1", tag, key=key), hold_at_once=hold)
        if answer is not None and answer.job is not None:
            self.jobs.append(answer.job)
        await world.refresher.join()

    async def read_from_the_cache(self) -> None:
        world = self.process()
        world.store.down = refused
        await self.send(world, "read", None)

    async def end(self) -> list[Event]:
        """All that waits is replayed, and everything is looked at."""
        self.clients.heal()
        world = self.process()
        await self.send(world, "replace", "last", key="last")
        for _ in range(4):
            self.clock.advance(LONG)
            await world.replayer.replay()
        for job in dict.fromkeys(self.jobs):
            await self.clients.look(world, job)
        await self.clients.look_at_the_end(world, [RESOURCE])
        return self.clients.events


Prepare = Callable[[Scene], Awaitable[None]]
Flow = Callable[[Scene, World], Awaitable[None]]


class Actor:
    """Does a flow in a process of its own. stop: at which of the points that it passes, counted from 0.

    What has left the process arrives, even if nobody there waits for it any more.
    """

    def __init__(self, scene: Scene, flow: Flow, stop: int | None = None) -> None:
        self.passed: list[str] = []
        self.stopped = False
        self._stop = stop
        self._free = asyncio.Event()
        self._sent: set[asyncio.Task[Any]] = set()
        store, ledger, cache = scene.servers
        world = scene.process(
            (self._watched(store, "store"), self._watched(ledger, "ledger"), self._watched(cache, "cache"))
        )
        world.writer = watched(world.writer, "writer", self.reach)
        self._work = flow(scene, world)
        self._task: asyncio.Future[None] | None = None

    async def go(self) -> None:
        """On until it is done, or stopped."""
        self._task = self._task or asyncio.ensure_future(self._work)
        for _ in range(_TURNS):
            if self.stopped or self._task.done():
                return
            await asyncio.sleep(0)

    async def end(self, clock: FakeClock) -> None:
        """On to its end, and that of all it has sent."""
        self.stopped = False
        self._free.set()
        await self.go()
        for _ in range(_TURNS):
            if self._task is not None and self._task.done() and not self._sent:
                return self._task.result()
            clock.advance(0.25)
            await asyncio.sleep(0)
        raise AssertionError(f"a flow does not end; it has passed {self.passed}")

    async def reach(self, point: str) -> None:
        self.passed.append(point)
        if len(self.passed) - 1 == self._stop:
            self.stopped = True
            await self._free.wait()

    def _watched(self, port: Any, name: str) -> Any:
        return _Sent(watched(port, name, self.reach), self._sent)


class _Sent:
    def __init__(self, port: Any, sent: set[asyncio.Task[Any]]) -> None:
        self._port = port
        self._sent = sent

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            task = asyncio.ensure_future(method(*args, **kwargs))
            self._sent.add(task)
            task.add_done_callback(self._sent.discard)
            return await asyncio.shield(task)

        return call


async def solo(prepare: Prepare, flow: Flow, parts: Parts | None = None) -> list[str]:
    """The points that the flow passes when nobody else is there."""
    scene = Scene(parts)
    await prepare(scene)
    actor = Actor(scene, flow)
    await actor.end(scene.clock)
    return actor.passed


async def interleave(
    prepare: Prepare,
    flows: tuple[Flow, Flow],
    stops: tuple[int | None, int | None],
    *,
    pause: float = 0.0,
    first: int = 0,
    parts: Parts | None = None,
) -> list[Event]:
    """What clients saw of two flows of which each is stopped at a point, if any, and one is let go first.

    pause: seconds that pass while the first flow stands and the second has not begun.
    """
    scene = Scene(parts)
    await prepare(scene)
    actors = [Actor(scene, flow, stop) for flow, stop in zip(flows, stops, strict=True)]
    await actors[0].go()
    scene.clock.advance(pause)
    for _ in range(_TURNS if pause else 0):
        await asyncio.sleep(0)
    await actors[1].go()
    await scene.read_from_the_cache()
    for number in (first, 1 - first):
        await actors[number].end(scene.clock)
    await scene.read_from_the_cache()
    return await scene.end()
