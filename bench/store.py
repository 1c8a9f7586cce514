"""How fast the PostgreSQL store applies, repeats and reads, over a bare psycopg loop that commits rows one by one.

Run `python -m bench.store`: it starts a private PostgreSQL, or uses `--url`, a migrated database whose records it
deletes. The bare loop is `bench.baseline` at 32 connections. Rounds of all rows alternate, and each figure is the
median of its rounds; trust the ratios, or the CPU time where others use the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import uvloop

from adapters.migrate import migrate
from adapters.postgres_store import PostgresOptions, PostgresStore
from bench import baseline
from holdfast.operations.identity import created_record_id, new_operation_id
from holdfast.operations.model import Applied, Kind, Operation, Resource, Result
from holdfast.operations.ports import Store
from tests.support.servers import running_postgres

BODY = 300
CONNECTIONS = 32
STOCK = 20_000

Step = Callable[[int], Awaitable[int]]

_turn = itertools.count()


@dataclass
class Subject:
    """Something to measure. lanes: steps at the same time. size: operations of a step, for `step` to do."""

    name: str
    step: Step
    size: int
    lanes: int = 3
    per_second: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    async def round(self, seconds: float) -> None:
        until, began, here = time.perf_counter() + seconds, time.perf_counter(), time.process_time()

        async def lane() -> int:
            done = await self.step(self.size)
            while time.perf_counter() < until:
                done += await self.step(self.size)
            return done

        total = sum(await asyncio.gather(*(lane() for _ in range(self.lanes))))
        self.note(total / (time.perf_counter() - began), (time.process_time() - here) / total)

    def note(self, per_second: float, cpu: float) -> None:
        self.per_second.append(per_second)
        self.cpu.append(cpu)


def operation(kind: Kind, id_: str, **rest: Any) -> Operation:
    given = {"id": new_operation_id(), "payload": {"name": "item", "n": next(_turn), "filler": "x" * (BODY - 60)}}
    return Operation(
        principal="bench",
        resource=Resource("bench", id_),
        kind=kind,
        fingerprint="f" * 32,
        accepted_at=round(time.time(), 3),
        **(given | rest),
    )


def create() -> Operation:
    id_ = new_operation_id()
    return operation(Kind.CREATE, created_record_id(id_), id=id_, keyed=True)


class Steps:
    """What is measured. Every lane takes records that no other has at that time, as clients mostly do."""

    def __init__(self, store: Store, stock: int = STOCK) -> None:
        self._store = store
        self._stock = stock
        self._next = itertools.cycle(range(stock))
        self._known = [create() for _ in range(256)]

    async def fill(self) -> None:
        for at in range(0, self._stock, 1000):
            await self._store.apply([operation(Kind.CREATE, str(n)) for n in range(at, at + 1000)])
        await self._store.apply(self._known)

    async def create(self, size: int) -> int:
        return _applied(await self._store.apply([create() for _ in range(size)]))

    async def replace(self, size: int) -> int:
        return _applied(await self._store.apply([operation(Kind.REPLACE, id_) for id_ in self._some(size)]))

    async def merge(self, size: int) -> int:
        patch = {"n": next(_turn)}
        batch = [operation(Kind.MERGE, id_, payload=patch) for id_ in self._some(size)]
        return _applied(await self._store.apply(batch))

    async def merge_one(self, size: int) -> int:
        """One record, however many operations."""
        patch = {"n": next(_turn)}
        return _applied(await self._store.apply([operation(Kind.MERGE, "0", payload=patch) for _ in range(size)]))

    async def repeat(self, size: int) -> int:
        return _applied(await self._store.apply(self._known[:size]))

    async def read(self, size: int) -> int:
        return len(await self._store.read([Resource("bench", id_) for id_ in self._some(size)]))

    async def page(self, size: int) -> int:
        return len(await self._store.page("bench", after=next(iter(self._some(1))), limit=size))

    def _some(self, size: int) -> Iterator[str]:
        return (str(n) for n in itertools.islice(self._next, size))


def _applied(results: list[Result]) -> int:
    assert all(isinstance(result, Applied) for result in results)
    return len(results)


def subjects(steps: Steps) -> list[Subject]:
    return [
        *(Subject(f"create, batches of {size}", steps.create, size) for size in (1, 10, 100, 256)),
        Subject("create, batches of 10, one at a time", steps.create, 10, lanes=1),
        Subject("create, batches of 1000, 2 in flight", steps.create, 1000, lanes=2),
        *(Subject(f"replace, batches of {size}", steps.replace, size) for size in (1, 10, 100)),
        Subject("merge, batches of 100", steps.merge, 100),
        Subject("merge one record, batches of 100", steps.merge_one, 100),
        Subject("repeat, batches of 100", steps.repeat, 100),
        *(Subject(f"read, batches of {size}", steps.read, size) for size in (1, 10, 100)),
        Subject("page of 100", steps.page, 100),
    ]


async def run(url: str, rounds: int, seconds: float) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("TRUNCATE records, operations")
    store = PostgresStore(PostgresOptions(url))
    steps = Steps(store)
    await steps.fill()
    bare = Subject(f"bare psycopg loop, {CONNECTIONS} connections", steps.create, 1)
    measured = subjects(steps)
    for _ in range(rounds):
        here = time.process_time()
        figures = await baseline.run(url, CONNECTIONS, seconds, BODY)
        bare.note(figures["rows"] / figures["seconds"], (time.process_time() - here) / figures["rows"])
        for subject in measured:
            await subject.round(seconds)
    await store.close()
    show([bare, *measured])


def show(measured: list[Subject]) -> None:
    base = statistics.median(measured[0].per_second)
    print(f"{'':42}{'per second':>12}{'ratio':>8}{'CPU here':>10}   (microseconds per operation)")
    for subject in measured:
        rate, cpu = statistics.median(subject.per_second), statistics.median(subject.cpu)
        print(f"{subject.name:42}{rate:12,.0f}{rate / base:8.2f}{1e6 * cpu:10.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a migrated database to use instead; its records are deleted")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each row in each round")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = arguments.url
        if not url:
            url = stack.enter_context(running_postgres()).url
            migrate(url)
        uvloop.run(run(url, arguments.rounds, arguments.seconds))


if __name__ == "__main__":
    main()
