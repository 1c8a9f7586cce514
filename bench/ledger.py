"""How fast the Redis ledger holds, gates, leases and settles, over a bare redis-py loop that pushes the same payloads.

Run `python -m bench.ledger`: it starts a private Valkey (AOF `always`), or uses `--url`, whose database it empties.
The bare loop sends one RPUSH per operation from 32 tasks. All rows are of one run; compare the ratios,
or the CPU time where others use the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import msgspec
import redis.asyncio
import uvloop

from adapters.redis_ledger import RedisLedger, RedisLedgerOptions
from holdfast.operations.identity import new_operation_id
from holdfast.operations.model import Applied, Effect, Kind, Operation, Record, Resource
from holdfast.operations.ports import Done, Hold, Lease, Settlement
from tests.support.servers import running_valkey

TASKS = 32
PAYLOAD = {"title": "a note", "n": 12345, "tags": ["a", "b", "c"], "body": "x" * 220}

_resources = itertools.count()


def operation(resource: Resource) -> Operation:
    return Operation(
        new_operation_id(), "bench", resource, Kind.REPLACE, PAYLOAD, "f" * 32, round(time.time(), 3), keyed=True
    )


def new_operations(count: int, per_mailbox: int = 1) -> list[Operation]:
    resources = (Resource("bench", f"{next(_resources):012}") for _ in range(count // per_mailbox))
    return [operation(resource) for resource in resources for _ in range(per_mailbox)]


def settlement(lease: Lease) -> Settlement:
    return Settlement(lease, tuple(_done(job.operation) for job in lease.jobs))


def _done(one: Operation) -> Done:
    record = Record(one.resource, 1, one.payload, one.accepted_at, one.accepted_at)
    return Done(one.id, Applied(Effect.CREATED, record))


class Rate(NamedTuple):
    """Operations per second, and the CPU time of each in microseconds, here and in the server."""

    per_second: float
    client: float
    server: float


class Meter:
    """Measures steps against one server."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def rate(self, steps: Iterable[Callable[[], Awaitable[int]]], tasks: int) -> Rate:
        """`tasks` at a time take the steps; each says how many operations it did."""
        remaining, counts = iter(steps), list[int]()

        async def worker() -> None:
            for step in remaining:
                counts.append(await step())

        began, here, there = time.perf_counter(), time.process_time(), await self._server_cpu()
        await asyncio.gather(*(worker() for _ in range(tasks)))
        total = max(1, sum(counts))
        server = await self._server_cpu() - there
        client = time.process_time() - here
        return Rate(total / (time.perf_counter() - began), 1e6 * client / total, 1e6 * server / total)

    async def _server_cpu(self) -> float:
        cpu = await self._client.info("cpu")
        return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"])


def batches(operations: list[Operation], size: int) -> Iterator[list[Operation]]:
    return (operations[at : at + size] for at in range(0, len(operations), size))


Steps = Iterator[Callable[[], Awaitable[int]]]


def pushes(client: redis.asyncio.Redis, total: int) -> Steps:
    data = msgspec.json.encode(operation(Resource("bench", "x")))

    async def push() -> int:
        await client.rpush("bench", data)
        return 1

    return itertools.repeat(push, total)


def holds(ledger: RedisLedger, operations: list[Operation], size: int) -> Steps:
    async def hold(batch: list[Operation]) -> int:
        return len(await ledger.hold([Hold(one) for one in batch]))

    return (partial(hold, batch) for batch in batches(operations, size))


def gates(ledger: RedisLedger, operations: list[Operation], size: int) -> Steps:
    async def gate(batch: list[Operation]) -> int:
        return len(await ledger.gate(batch))

    return (partial(gate, batch) for batch in batches(operations, size))


def drains(ledger: RedisLedger, total: int, limit: int) -> Steps:
    async def drain() -> int:
        leases = await ledger.lease(limit=limit, depth=64, ttl=60.0)
        return sum(await ledger.settle([settlement(lease) for lease in leases]))

    return itertools.repeat(drain, total // limit)


async def run(url: str, total: int, waiting: int) -> None:
    client = redis.asyncio.Redis.from_url(url)
    await client.flushdb()
    ledger = RedisLedger(RedisLedgerOptions(url, pool_size=TASKS, durability="trust", timeout=10.0))
    rate = Meter(client).rate
    await rate(pushes(client, total // 10), TASKS)
    base = await rate(pushes(client, total), TASKS)
    print(f"{'':50}{'per second':>12}{'ratio':>8}{'CPU here':>10}{'server':>8}   (microseconds per operation)")

    def show(name: str, found: Rate) -> None:
        ratio = found.per_second / base.per_second
        print(f"{name:50}{found.per_second:12,.0f}{ratio:8.2f}{found.client:10.0f}{found.server:8.0f}")

    show(f"bare redis-py RPUSH, {TASKS} tasks", base)
    if waiting:
        show(f"hold {waiting:,} to have them wait", await rate(holds(ledger, new_operations(waiting), 256), 3))
    for size, tasks in ((1, TASKS), (10, 3), (256, 3)):
        operations = new_operations(total)
        show(f"gate, batches of {size}, {tasks} in flight", await rate(gates(ledger, operations, size), tasks))
        show(f"hold, batches of {size}, {tasks} in flight", await rate(holds(ledger, operations, size), tasks))
    for limit in (16, 256, 1024):
        show(f"lease and settle, batches of {limit}, 2 in flight", await rate(drains(ledger, total, limit), 2))
    await client.flushdb()
    await rate(holds(ledger, new_operations(total, per_mailbox=50), 256), 3)
    show("lease and settle, 50 to a mailbox, batches of 256", await rate(drains(ledger, total, 256), 2))
    await client.flushdb()
    await ledger.close()
    await client.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a Redis to use instead; its database is emptied")
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--waiting", type=int, default=0, help="operations that wait in the ledger meanwhile")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = arguments.url or stack.enter_context(running_valkey()).url
        uvloop.run(run(url, arguments.operations, arguments.waiting))


if __name__ == "__main__":
    main()
