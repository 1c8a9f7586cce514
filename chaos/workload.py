"""Clients that write and read at random, from one seed, and write down all that they see.

Each client repeats an unanswered change with its Idempotency-Key, most of the time. Sometimes it gives up, has hardly
any patience, sends the same request twice at once or again much later, uses a key for another request, or sends none.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from random import Random

from . import wire
from .history import Answer, History, JobSeen, Lost, is_verdict
from .http import Connection, NoAnswer, NotSent
from .wire import Change

_KINDS = {"merge": 42, "replace": 14, "read": 28, "create": 8, "delete": 8}
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """clients: at the same time. rate: changes and reads per second, all clients together. resources: with known ids.

    timeout: seconds until a client takes its request for lost. tries: of one change, until its client gives up.
    collection: used by no other run, for tags and keys are told apart within it.
    """

    seed: int = 0
    clients: int = 16
    rate: float = 200.0
    resources: int = 24
    timeout: float = 5.0
    tries: int = 6
    collection: str = "chaos"

    def __post_init__(self) -> None:
        if min(self.clients, self.resources, self.tries) < 1 or min(self.rate, self.timeout) <= 0:
            raise ValueError(f"clients, resources, tries, rate and timeout must be positive, got {self}")


class Workload:
    """unsettled: jobs to be polled, as last seen. unsure: keyed changes whose client has no verdict yet, by key.

    ids: of the records that are known.
    """

    def __init__(self, urls: Sequence[str], load: Load, history: History) -> None:
        self.load = load
        self.unsettled: dict[str, JobSeen | None] = {}
        self.unsure: dict[str, Change] = {}
        self.ids = [f"r{number}" for number in range(load.resources)]
        self._urls = cycle(urls)
        self._history = history
        self._requests = count()
        self._tags = count(1)
        self._versions: dict[str, int] = {}
        self._settled: set[str] = set()
        self._finished: deque[Change] = deque(maxlen=500)
        self._random = Random(f"{load.seed}/all")

    async def run(self, stop: asyncio.Event) -> None:
        """All clients, until `stop` is set and each has finished what it was doing."""
        async with asyncio.TaskGroup() as clients:
            for number in range(self.load.clients):
                clients.create_task(self._client(number, stop))
            clients.create_task(self._poll(stop))

    # One client

    async def _client(self, number: int, stop: asyncio.Event) -> None:
        random = Random(f"{self.load.seed}/{number}")
        with self.connection() as one, self.connection() as other:
            while not await self._pause(random.expovariate(self.load.rate / self.load.clients), stop):
                again = self._finished and random.random() < 0.03
                change = random.choice(self._finished) if again else self._choose(random)
                if again or change.kind == "read":
                    await self.send(change, f"c{number}", one)
                else:
                    await self._insist(change, f"c{number}", [one, other], random, stop)

    def _choose(self, random: Random) -> Change:
        kind = random.choices([*_KINDS], [*_KINDS.values()])[0]
        id_ = None if kind == "create" else random.choice(self._hot_or_any(random))
        if kind == "read":
            return Change("read", self.load.collection, id_)
        tag = self.new_tag()
        version = self._versions.get(f"{self.load.collection}/{id_}")
        return Change(
            kind,
            self.load.collection,
            id_,
            tag,
            key=tag if random.random() < 0.9 else None,
            if_match=version if version and random.random() < 0.15 else None,
            if_absent=kind == "replace" and not version and random.random() < 0.3,
            prefer=random.choices([None, "respond-async", "wait=2"], [94, 3, 3])[0],
            text="ä" * random.randrange(300) if random.random() < 0.2 else "",
        )

    def _hot_or_any(self, random: Random) -> list[str]:
        """A few records are written much more often than the others."""
        return self.ids[:3] if random.random() < 0.3 else self.ids

    async def _insist(
        self, change: Change, client: str, connections: list[Connection], random: Random, stop: asyncio.Event
    ) -> None:
        """Send a change until its client knows what became of it or gives up."""
        for attempt in range(self.load.tries):
            twice = change.key is not None and random.random() < 0.02
            patience = random.uniform(0.001, 0.02) if change.key is not None and random.random() < 0.04 else None
            ways = connections if twice else [connections[attempt % 2]]
            found, *_ = await asyncio.gather(*(self.send(change, client, way, patience) for way in ways))
            if change.key is None or (found is not None and is_verdict(found)):
                break
            self.unsure[change.key] = change
            if random.random() < 0.05 or (stop.is_set() and attempt):
                return
            await self._pause(_patience(found, random), stop)
        if change.key is not None and change.kind != "delete" and random.random() < 0.02:
            await self._reuse_key(change, client, connections[0])
        elif change.key is not None:
            self._finished.append(change)

    async def _reuse_key(self, change: Change, client: str, connection: Connection) -> None:
        """Another request under the same key, which must be refused."""
        await self.send(replace(change, tag=self.new_tag()), client, connection)

    async def _pause(self, seconds: float, stop: asyncio.Event) -> bool:
        """Wait, at most until `stop` is set; say whether it is."""
        try:
            async with asyncio.timeout(seconds):
                await stop.wait()
        except TimeoutError:
            return False
        return True

    # Requests

    def new_tag(self) -> str:
        return f"t{next(self._tags)}"

    def connection(self) -> Connection:
        """To the next API, where there are several."""
        return Connection(next(self._urls), timeout=self.load.timeout)

    async def send(
        self, change: Change, client: str, connection: Connection, patience: float | None = None
    ) -> Answer | None:
        """One request, written down with its answer; None when none came. patience: seconds, if other than usual."""
        request = next(self._requests)
        self._history.add(change.invoke(request, client))
        try:
            headers, body = change.headers(), change.body()
            reply = await connection.request(change.method, change.path, headers, body, timeout=patience)
            found = wire.answer(request, reply)
        except (NotSent, NoAnswer, ValueError) as error:
            sent = not isinstance(error, NotSent)
            self._history.add(Lost(at=time.monotonic(), request=request, error=str(error), sent=sent))
            return None
        self._history.add(found)
        self._learn(change, found)
        return found

    def _learn(self, change: Change, found: Answer) -> None:
        if found.version is not None and found.resource is not None:
            self._versions[found.resource] = max(found.version, self._versions.get(found.resource, 0))
        if found.status in (204, 404) and change.resource is not None:
            self._versions.pop(change.resource, None)
        if found.job is not None and found.job not in self._settled:
            self.unsettled.setdefault(found.job, None)
        if change.key is not None and is_verdict(found):
            self.unsure.pop(change.key, None)
        if change.kind == "create" and found.status == 201 and found.resource is not None:
            self._learn_id(found.resource.rpartition("/")[2])

    def _learn_id(self, id_: str) -> None:
        if id_ not in self.ids and len(self.ids) < 1000:
            self.ids.append(id_)

    # Jobs

    async def _poll(self, stop: asyncio.Event) -> None:
        with self.connection() as connection:
            while not await self._pause(0.05, stop):
                for job in self._random.sample([*self.unsettled], min(10, len(self.unsettled))):
                    await self.look(job, connection)

    async def look(self, job: str, connection: Connection, *, cancelling: bool = True) -> None:
        """Poll a job once, or now and then try to cancel it, and write down what is new."""
        try:
            method = "DELETE" if cancelling and self._random.random() < 0.04 else "GET"
            seen = wire.job_seen(job, await connection.request(method, f"/v1/jobs/{job}"))
        except (NotSent, NoAnswer):
            return
        last = self.unsettled.get(job)
        if seen is None or (last is not None and (seen.state, seen.attempts) == (last.state, last.attempts)):
            return
        self._history.add(seen)
        self.unsettled[job] = seen
        if seen.settled or seen.state == "forgotten":
            self._settled.add(job)
            del self.unsettled[job]


def _patience(found: Answer | None, random: Random) -> float:
    """What the answer asks for, in bounds."""
    asked = found.retry_after if found is not None and found.retry_after is not None else 0.2
    return min(asked, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
