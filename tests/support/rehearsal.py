"""Bad days of the whole engine in one process: API processes, workers and a sweeper on shared servers in memory, with
faults, late calls, lost doorbells and deaths, and clients that write down what they see.

Every choice comes from one seed and time is a fake clock's, so that a run is the same each time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import Random
from typing import Any

from chaos.history import Answer, Event, JobSeen, is_verdict
from chaos.wire import Change
from holdfast.backoff import constant
from holdfast.errors import HoldfastError
from holdfast.operations.model import Resource
from holdfast.operations.replay import ReplayOptions
from holdfast.testing.clock import FakeClock
from holdfast.testing.faults import Fault, Faults, hung, lost, refused, vanished

from .clients import Clients
from .engine import World
from .parts import Parts

LEASE = 3.0
TICK = 0.05
LOAD = 20.0
SETTLE_WITHIN = 60.0
RESOURCES = tuple(f"notes/r{number}" for number in range(4))

_TURNS = 40
_REPLAY = ReplayOptions(lease=LEASE, depth=4, store_delay=constant(1.0), fault_delay=constant(1.0))
_KINDS = {"merge": 45, "replace": 15, "delete": 5, "read": 35}
# Which calls are hit by themselves, and how much more often than others.
_CALLS = {
    ("store", "apply"): 4,
    ("ledger", "gate"): 1,
    ("ledger", "hold"): 1,
    ("ledger", "lease"): 1,
    ("ledger", "settle"): 4,
    ("cache", "put"): 8,
}


@dataclass
class Process:
    """busy: what it is doing for others."""

    world: World
    busy: dict[asyncio.Task[Any], None] = field(default_factory=dict)

    def begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self.busy[task] = None
        task.add_done_callback(self.busy.pop)
        return task

    @property
    def ports(self) -> tuple[Faults[Any], ...]:
        return self.world.store, self.world.ledger, self.world.cache

    def die(self) -> None:
        """Nothing of it reaches any server from now on, and nobody hears of it."""
        for port in self.ports:
            port.mend()
            port.down = hung
        for task in self.busy:
            task.cancel()


class Rehearsal:
    def __init__(self, seed: int, parts: Parts | None = None) -> None:
        self._parts = parts or Parts()
        self._random = Random(f"{seed}/faults")
        self._seed = seed
        clock = FakeClock()
        servers = (self._parts.store(clock), self._parts.ledger(clock), self._parts.cache())
        self._first = World(replay=_REPLAY, servers=servers, clock=clock)
        self._clock = clock
        self._apis = [self._process() for _ in range(2)]
        self._workers = [self._process() for _ in range(2)]
        self._sweeper = self._process()
        self._dead: list[Process] = []
        self._clients = Clients(clock)
        self._versions: dict[str, int] = {}
        self._unsure: dict[str, Change] = {}
        self._jobs: dict[str, JobSeen | None] = {}
        self._tags = 0
        self._ticks = 0
        self._open = True

    async def run(self) -> list[Event]:
        """A bad day with clients, the healing, and the end."""
        clients = [asyncio.ensure_future(self._client(number)) for number in range(6)]
        for _ in range(round(LOAD / TICK)):
            self._trouble()
            await self._tick()
        self._mend()
        self._clients.heal()
        self._open = False
        await self._until(lambda: all(client.done() for client in clients))
        await self._conclude()
        return self._clients.events

    # Time

    async def _tick(self) -> None:
        self._ticks += 1
        self._doorbells()
        if self._ticks % 10 == 0:
            self._look_around()
        self._clock.advance(TICK)
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def _until(self, condition: Callable[[], bool], within: float = SETTLE_WITHIN * 2) -> None:
        for _ in range(round(within / TICK)):
            if condition():
                return
            await self._tick()

    # Processes

    def _process(self) -> Process:
        world = self._first.peer()
        self._parts.prepare(world)
        return Process(world)

    @property
    def _all(self) -> list[Process]:
        return [*self._apis, *self._workers, self._sweeper]

    def _doorbells(self) -> None:
        """Half of them arrive, each at one worker."""
        for process in self._all:
            rung, process.world.rung[:] = list(process.world.rung), []
            if rung and self._random.random() < 0.5:
                self._replay(self._random.choice(self._workers), rung)

    def _replay(self, worker: Process, resources: Sequence[Resource]) -> None:
        if len(worker.busy) < 2:
            worker.begin(_quietly(worker.world.replayer.replay(resources)))

    def _look_around(self) -> None:
        for process in self._apis:
            process.begin(_quietly(process.world.backlog.refresh()))
        if self._parts.sweeps and not self._sweeper.busy:
            self._sweeper.begin(_quietly(self._sweeper.world.sweeper.sweep()))

    # Trouble

    def _trouble(self) -> None:
        chance = self._random.random()
        if chance < 0.02:
            self._take_down()
        elif chance < 0.04:
            self._mend()
        elif chance < 0.05:
            self._kill()
        elif chance < 0.3:
            self._hit_one_call()

    def _take_down(self) -> None:
        server = self._random.choices(["store", "ledger", "cache"], [6, 1, 2])[0]
        fault = self._random.choice([refused, lost, vanished, self._late(0.1, LEASE * 2)])
        for process in self._all:
            getattr(process.world, server).down = fault

    def _hit_one_call(self) -> None:
        world = self._random.choice(self._all).world
        server, method = self._random.choices([*_CALLS], [*_CALLS.values()])[0]
        late = self._late(0.1, LEASE * 2)
        fault = self._random.choice([refused, lost, vanished, late, late, late])
        getattr(world, server).next(method, fault)

    def _kill(self) -> None:
        crew = self._random.choice([self._apis, self._workers])
        number = self._random.randrange(len(crew))
        crew[number].die()
        self._dead.append(crew[number])
        crew[number] = self._process()

    def _mend(self) -> None:
        for port in chain.from_iterable(process.ports for process in self._all):
            port.down = None

    def _late(self, least: float, most: float) -> Fault:
        """It happens some seconds later, whoever has given up on it; so what is sent first may come last."""

        async def arrive(work: Callable[[], Any]) -> Any:
            await self._clock.sleep(self._random.uniform(least, most))
            return await work()

        async def fault(work: Callable[[], Any]) -> Any:
            return await asyncio.shield(asyncio.ensure_future(arrive(work)))

        return fault

    # Clients

    async def _client(self, number: int) -> None:
        random = Random(f"{self._seed}/{number}")
        while self._open:
            await self._clock.sleep(random.expovariate(4))
            kind = random.choices([*_KINDS], [*_KINDS.values()])[0]
            change = self._change(kind, random.choice([RESOURCES[0], random.choice(RESOURCES)]), random)
            await self._insist(change, random)
            if self._jobs and random.random() < 0.5:
                await self._look(random.choice([*self._jobs]), random.choice(self._apis).world)

    def _change(self, kind: str, resource: str, random: Random) -> Change:
        collection, _, id_ = resource.partition("/")
        if kind == "read":
            return Change("read", collection, id_)
        self._tags += 1
        tag, version = f"t{self._tags}", self._versions.get(resource)
        return Change(
            kind,
            collection,
            id_,
            tag,
            key=tag if random.random() < 0.6 else None,
            if_match=version if version and random.random() < 0.1 else None,
            if_absent=kind == "replace" and not version and random.random() < 0.3,
        )

    async def _insist(self, change: Change, random: Random) -> None:
        for _ in range(5):
            answer = await self._send(change, random.choice(self._apis), hold_at_once=random.random() < 0.1)
            if answer is not None and answer.job is not None and random.random() < 0.5:
                await self._clock.sleep(random.uniform(0, 2))
                await _quietly(random.choice(self._apis).world.jobs.cancel(answer.job))
            if change.key is None or (answer is not None and is_verdict(answer)):
                return
            self._unsure[change.key] = change
            await self._clock.sleep(random.uniform(0.2, 1.0))

    async def _send(self, change: Change, api: Process, *, hold_at_once: bool = False) -> Answer | None:
        task = api.begin(self._clients.send(api.world, change, hold_at_once=hold_at_once and change.kind != "read"))
        await asyncio.wait([task])
        answer: Answer | None = None if task.cancelled() else task.result()
        if answer is not None:
            self._learn(change, answer)
        return answer

    def _learn(self, change: Change, answer: Answer) -> None:
        if answer.version is not None:
            self._versions[str(change.resource)] = answer.version
        if answer.job is not None:
            self._jobs.setdefault(answer.job, None)
        if change.key is not None and is_verdict(answer):
            self._unsure.pop(change.key, None)

    async def _look(self, job: str, world: World) -> None:
        seen = await self._clients.look(world, job)
        if seen is not None and (seen.settled or seen.state == "forgotten"):
            self._jobs.pop(job, None)

    # The end

    async def _conclude(self) -> None:
        """As chaos.ending does it: what became of all, the records, one last replace of each, and the records again."""
        api = self._apis[0]
        await self._all_done([self._insist_to_the_end(change, api) for change in self._unsure.copy().values()])
        await self._all_done([self._poll_to_the_end(job, api) for job in self._jobs.copy()])
        await self._clients.look_at_the_end(api.world, RESOURCES)
        last = [self._change("replace", resource, Random(0)) for resource in RESOURCES]
        await self._all_done([self._insist_to_the_end(change, api) for change in last])
        await self._all_done([self._poll_to_the_end(job, api) for job in self._jobs.copy()])
        await self._clients.look_at_the_end(api.world, RESOURCES)

    async def _all_done(self, works: Sequence[Coroutine[Any, Any, None]]) -> None:
        tasks = [asyncio.ensure_future(work) for work in works]
        await self._until(lambda: all(task.done() for task in tasks))
        for task in tasks:
            task.cancel()

    async def _insist_to_the_end(self, change: Change, api: Process) -> None:
        while (answer := await self._send(change, api)) is None or not is_verdict(answer):
            await self._clock.sleep(0.5)

    async def _poll_to_the_end(self, job: str, api: Process) -> None:
        while job in self._jobs:
            await self._look(job, api.world)
            await self._clock.sleep(0.5)


async def _quietly(work: Coroutine[Any, Any, Any]) -> None:
    with contextlib.suppress(HoldfastError):
        await work
