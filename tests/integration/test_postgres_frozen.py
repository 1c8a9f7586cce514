"""The store while its server is frozen: connections stand, answers do not come, and what was sent may still happen."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable

import pytest

from adapters.migrate import migrate
from adapters.postgres_store import PostgresStore
from holdfast.errors import Abandoned, Unavailable
from holdfast.operations.model import Applied, Resource, Result
from holdfast.timeout import abandon_after
from tests.support.polling import until, until_seen
from tests.support.processes import Server
from tests.support.stores import connections, create, merge, postgres_store

POOL = 4
DEADLINE = 0.2
# Less than the 5 s that psycopg gives a server to cancel a query.
LONGEST = 4.5


@pytest.fixture
async def store(private_postgres: Server) -> AsyncIterator[PostgresStore]:
    """With its pool full of good connections, on which every statement has been prepared."""
    migrate(private_postgres.url)
    async with postgres_store(private_postgres.url, pool_size=POOL) as store:
        await asyncio.gather(*(store.apply([create(f"warm{n}"), merge(f"old{n}", {})]) for n in range(POOL)))
        yield store
        private_postgres.thaw()


async def abandoned(*calls: Awaitable[object], deadline: float = DEADLINE) -> None:
    """Every call is given up at its deadline, and ends by itself soon after."""
    others = asyncio.all_tasks()
    began = time.monotonic()
    ends = await asyncio.gather(*(abandon_after(deadline, call) for call in calls), return_exceptions=True)
    assert [type(end) for end in ends] == [Abandoned] * len(calls)
    await until(lambda: asyncio.all_tasks() <= others)
    assert time.monotonic() - began < LONGEST


async def test_a_call_that_is_given_up_ends_at_once_and_gives_its_connection_up(
    store: PostgresStore, private_postgres: Server
) -> None:
    private_postgres.freeze()
    await abandoned(*(store.apply([create(f"n{n}")]) for n in range(POOL)))
    private_postgres.thaw()
    results = await asyncio.gather(*(store.apply([create(f"m{n}")]) for n in range(POOL)))
    assert all(isinstance(result, Applied) for (result,) in results)
    await until(lambda: connections(private_postgres.url) <= POOL)


async def test_what_commits_late_and_is_repeated_has_one_effect(store: PostgresStore, private_postgres: Server) -> None:
    await store.apply([create(f"old{n}", {"n": 0}) for n in range(POOL)])
    batches = [[create(f"new{n}"), merge(f"old{n}", {"n": 1})] for n in range(POOL)]
    private_postgres.freeze()
    await abandoned(*(store.apply(batch) for batch in batches))
    private_postgres.thaw()
    async with postgres_store(private_postgres.url) as other:
        answers = await asyncio.gather(*(one.apply(batch) for batch in batches for one in (store, other)))
    assert [_versions(results) for results in answers] == [[1, 2]] * 2 * POOL
    resources = [operation.resource for batch in batches for operation in batch]
    assert [record and record.version for record in await store.read(resources)] == [1, 2] * POOL


async def test_what_was_sent_before_the_freeze_happens_without_its_caller(
    store: PostgresStore, private_postgres: Server
) -> None:
    """Otherwise the test above would show nothing."""
    one = create("a")
    private_postgres.freeze()
    await abandoned(store.apply([one]), deadline=1.5)  # by then it has been sent, on any machine
    private_postgres.thaw()
    async with postgres_store(private_postgres.url) as other:
        await _until_there(other, one.resource)
        (result,) = await store.apply([one])
    assert isinstance(result, Applied)
    assert (result.record.version, result.replayed) == (1, True)


async def test_connecting_to_a_frozen_server_is_given_up_in_time(private_postgres: Server) -> None:
    private_postgres.freeze()
    async with postgres_store(private_postgres.url, connect_timeout=0.2) as store:
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable):
                await store.ping()
    private_postgres.thaw()


@pytest.mark.parametrize("seed", range(6))
async def test_calls_cancelled_at_any_moment_leave_no_connection_behind(postgres_url: str, seed: int) -> None:
    seeded = random.Random(seed)
    batches = [[create(f"n{n}"), merge(f"n{n}", {"a": 1})] for n in range(100)]
    async with postgres_store(postgres_url, pool_size=POOL) as store:
        calls = [asyncio.ensure_future(store.apply(batch)) for batch in batches]
        for call in calls:
            asyncio.get_running_loop().call_later(seeded.uniform(0, 0.15), call.cancel)
        await asyncio.wait(calls)
        assert all(call.cancelled() or call.exception() is None for call in calls)
        answers = await asyncio.gather(*(store.apply(batch) for batch in batches))
        assert [_versions(results) for results in answers] == [[1, 2]] * len(batches)
        await until(lambda: connections(postgres_url) <= POOL)


async def test_many_given_up_at_once_do_not_lock_out_who_comes_after_the_thaw(
    store: PostgresStore, private_postgres: Server
) -> None:
    private_postgres.freeze()
    await abandoned(*(store.read([Resource("notes", str(n))]) for n in range(POOL * 5)))
    private_postgres.thaw()
    async with asyncio.timeout(10):
        await asyncio.gather(*(store.ping() for _ in range(POOL)))


def _versions(results: list[Result]) -> list[int | None]:
    return [result.record.version if isinstance(result, Applied) else None for result in results]


async def _until_there(store: PostgresStore, resource: Resource) -> None:
    async def is_there() -> bool:
        return (await store.read([resource]))[0] is not None

    await until_seen(is_there)
