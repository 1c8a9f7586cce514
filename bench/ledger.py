"""How fast the Redis ledger holds, gates, leases and settles, over a bare redis-py loop that pushes the same payloads.

Run `python -m bench.ledger`: it starts a private Valkey (AOF `always`), or uses `--url`, whose database it empties.
The bare loop sends one RPUSH per operation from 32 tasks. All rows are of one run; compare the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator

import msgspec
import redis.asyncio
import uvloop

from adapters.redis_ledger import RedisLedger, RedisLedgerOptions
from holdfast.operations.identity import new_operation_id
from holdfast.operations.model import Applied, Effect, Kind, Operation, Record, Resource
from holdfast.operations.ports import Done, Hold, Lease, Settlement

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


async def rate(steps: Iterable[Callable[[], Awaitable[int]]], tasks: int) -> float:
    """Operations per second when `tasks` at a time take the steps; each says how many it did."""
    remaining, counts = iter(steps), list[int]()

    async def worker() -> None:
        for step in remaining:
            counts.append(await step())

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(tasks)))
    return sum(counts) / (time.perf_counter() - began)


def batches(operations: list[Operation], size: int) -> Iterator[list[Operation]]:
    return (operations[at : at + size] for at in range(0, len(operations), size))


async def bare(client: redis.asyncio.Redis, total: int) -> float:
    data = msgspec.json.encode(operation(Resource("bench", "x")))

    async def push() -> int:
        await client.rpush("bench", data)  # type: ignore[misc]
        return 1

    return await rate([push] * total, TASKS)


async def holds(ledger: RedisLedger, operations: list[Operation], size: int, tasks: int) -> float:
    async def hold(batch: list[Operation]) -> int:
        return len(await ledger.hold([Hold(one) for one in batch]))

    return await rate((lambda b=b: hold(b) for b in batches(operations, size)), tasks)  # type: ignore[misc]


async def gates(ledger: RedisLedger, total: int, size: int, tasks: int) -> float:
    async def gate(batch: list[Operation]) -> int:
        return len(await ledger.gate(batch))

    return await rate((lambda b=b: gate(b) for b in batches(new_operations(total), size)), tasks)  # type: ignore[misc]


async def drain(ledger: RedisLedger, limit: int, depth: int, tasks: int, most: int) -> float:
    async def step() -> int:
        leases = await ledger.lease(limit=limit, depth=depth, ttl=60.0)
        return sum(await ledger.settle([settlement(lease) for lease in leases]))

    return await rate([step] * (most // limit), tasks)


async def run(url: str, total: int, waiting: int) -> None:
    client = redis.asyncio.Redis.from_url(url)
    await client.flushdb()
    ledger = RedisLedger(RedisLedgerOptions(url, pool_size=TASKS, durability="trust", timeout=10.0))
    await bare(client, total // 10)
    base = await bare(client, total)
    print(f"bare redis-py RPUSH, {TASKS} tasks: {base:,.0f} per second = 1.00")
    show = lambda name, value: print(f"{name:48} {value:10,.0f} per second   {value / base:6.2f}")  # noqa: E731
    if waiting:
        show(f"hold {waiting:,} to have them wait", await holds(ledger, new_operations(waiting), 256, 3))
    for size, tasks in ((1, TASKS), (10, 3), (256, 3)):
        operations = new_operations(total)
        show(f"gate, batches of {size}, {tasks} in flight", await gates(ledger, total, size, tasks))
        show(f"hold, batches of {size}, {tasks} in flight", await holds(ledger, operations, size, tasks))
    for limit in (16, 256, 1024):
        show(f"lease and settle, batches of {limit}, 2 in flight", await drain(ledger, limit, 64, 2, total))
    await client.flushdb()
    await holds(ledger, new_operations(total, per_mailbox=50), 256, 3)
    show("lease and settle, 50 to a mailbox, batches of 256", await drain(ledger, 256, 64, 2, total))
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
        url = arguments.url or stack.enter_context(_private())
        uvloop.run(run(url, arguments.operations, arguments.waiting))


@contextlib.contextmanager
def _private() -> Iterator[str]:
    from tests.support.servers import running_valkey

    with running_valkey() as server:
        yield server.url


if __name__ == "__main__":
    main()
