"""Applying beside others who work on the same tables."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

from adapters.postgres_store import PostgresStore
from holdfast.errors import Unavailable
from holdfast.operations.model import Applied, Fault, Kind, ProblemType, Refused, Resource
from tests.support.polling import until
from tests.support.stores import begun, create, merge, operation, postgres_store, waiting_for_a_lock

A, B = Resource("notes", "a"), Resource("notes", "b")
_ADD = (
    "INSERT INTO records (collection, id, version, data, created_at, updated_at)"
    " VALUES ('notes', %s, 1, '{}', now(), now())"
)


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresStore]:
    """Waits for others as long as it takes."""
    async with postgres_store(postgres_url) as store:
        yield store


@pytest.fixture
async def hasty(postgres_url: str) -> AsyncIterator[PostgresStore]:
    async with postgres_store(postgres_url, lock_timeout=0.3) as store:
        yield store


async def test_a_record_that_somebody_has_locked_costs_only_itself(
    store: PostgresStore, hasty: PostgresStore, postgres_url: str
) -> None:
    await store.apply([create("a"), create("b")])
    one, other, new = merge("a", {"n": 1}), merge("b", {"n": 1}), create("c")
    async with await psycopg.AsyncConnection.connect(postgres_url) as somebody:
        await somebody.execute("SELECT FROM records WHERE id = 'a' FOR UPDATE")
        locked, *rest = await hasty.apply([one, other, new])
        assert isinstance(locked, Fault)
        assert isinstance(locked.error, Unavailable)
        assert [type(result) for result in rest] == [Applied, Applied]
    (applied,) = await store.apply([one])
    assert isinstance(applied, Applied)
    assert (applied.record.version, applied.replayed) == (2, False)


async def test_repeating_a_creation_waits_for_nobody_who_changes_the_record(
    store: PostgresStore, postgres_url: str
) -> None:
    one = create("a")
    await store.apply([one])
    async with await psycopg.AsyncConnection.connect(postgres_url) as somebody:
        await somebody.execute("UPDATE records SET version = 2 WHERE id = 'a'")
        (repeated,) = await store.apply([one])
    assert isinstance(repeated, Applied)
    assert (repeated.record.version, repeated.replayed) == (1, True)


async def test_without_any_patience_what_is_there_is_still_looked_at(postgres_url: str) -> None:
    async with postgres_store(postgres_url, lock_timeout=0.00001) as store:
        one = create("a")
        first, again = (await store.apply([one]))[0], (await store.apply([one]))[0]
    assert isinstance(first, Applied)
    assert again == replace(first, replayed=True)


async def test_a_short_lock_is_waited_for(store: PostgresStore, postgres_url: str) -> None:
    await store.apply([create("a")])
    async with await psycopg.AsyncConnection.connect(postgres_url) as somebody:
        await somebody.execute("SELECT FROM records WHERE id = 'a' FOR UPDATE")
        applying = asyncio.ensure_future(store.apply([merge("a", {"n": 1})]))
        await _several_tries(postgres_url)
        await somebody.commit()
        assert isinstance((await applying)[0], Applied)


async def test_no_record_is_held_while_waiting_for_a_creation_by_somebody_else(postgres_url: str) -> None:
    async with (
        postgres_store(postgres_url) as store,
        await psycopg.AsyncConnection.connect(postgres_url) as somebody,
    ):
        await store.apply([create("a")])
        await somebody.execute(_ADD, ["b"])
        applying = asyncio.ensure_future(store.apply([merge("a", {"n": 1}), create("b")]))
        await until(lambda: waiting_for_a_lock(postgres_url))
        await somebody.execute("SELECT FROM records WHERE id = 'a' FOR UPDATE NOWAIT")
        await somebody.commit()
        merged, created = await applying
    assert isinstance(merged, Applied)
    assert isinstance(created, Refused)
    assert created.problem.type is ProblemType.ALREADY_EXISTS


async def test_a_table_that_somebody_has_locked_is_an_outage_and_not_a_fault(
    store: PostgresStore, hasty: PostgresStore, postgres_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(postgres_url) as somebody:
        await somebody.execute("LOCK TABLE operations IN ACCESS EXCLUSIVE MODE")
        for batch in ([create("a")], [merge("a", {}), create("b")]):
            with pytest.raises(Unavailable):
                await hasty.apply(batch)
    assert await store.read([A, B]) == [None, None]


async def test_a_change_that_others_make_by_hand_meanwhile_is_not_overwritten(
    store: PostgresStore, postgres_url: str
) -> None:
    await store.apply([create("a", {"n": 1})])
    async with await psycopg.AsyncConnection.connect(postgres_url) as somebody:
        await somebody.execute("UPDATE records SET version = 7, data = '{\"n\": 7}' WHERE id = 'a'")
        applying = asyncio.ensure_future(store.apply([merge("a", {"m": 1})]))
        await _several_tries(postgres_url)
        await somebody.commit()
        (applied,) = await applying
    assert isinstance(applied, Applied)
    assert (applied.record.version, applied.record.data) == (8, {"n": 7, "m": 1})


async def test_the_victim_of_a_deadlock_tries_again(postgres_url: str) -> None:
    # A server looks for a deadlock once, so long after a wait began: the circle must be closed by then.
    url = f"{postgres_url}?options=-c%20deadlock_timeout%3D4s"
    async with (
        postgres_store(url) as store,
        await psycopg.AsyncConnection.connect(postgres_url) as somebody,
    ):
        # It never looks for deadlocks itself, so that the store is the one to be stopped.
        await somebody.execute("SET deadlock_timeout = '1h'; SET lock_timeout = '40s'")
        await somebody.execute(_ADD, ["b"])
        before = await _deadlocks(postgres_url)
        applying = asyncio.ensure_future(store.apply([create("a", {"n": 1}), create("b")]))
        await until(lambda: waiting_for_a_lock(postgres_url))
        await somebody.execute(_ADD, ["a"])
        await somebody.rollback()
        results = await applying
    assert [isinstance(result, Applied) and result.record.version for result in results] == [1, 1]
    assert await _deadlocks(postgres_url) > before


async def test_batches_never_block_each_other_in_a_circle(postgres_url: str) -> None:
    # With nobody to look for deadlocks, one would end in a lock_timeout.
    url, options = (
        f"{postgres_url}?options=-c%20deadlock_timeout%3D1h",
        {"lock_timeout": 30.0, "statement_timeout": 60.0},
    )
    seeded = random.Random(7)
    keys = [f"k{n}" for n in range(40)]
    batches = [
        [operation(seeded.choice([Kind.CREATE, Kind.REPLACE, Kind.DELETE]), key, {}) for key in chosen]
        for chosen in (seeded.sample(keys, 30) for _ in range(120))
    ]
    async with contextlib.AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(postgres_store(url, **options)) for _ in range(12)]
        results = await asyncio.gather(*(stores[n % 12].apply(batch) for n, batch in enumerate(batches)))
    assert all(isinstance(result, Applied | Refused) for batch in results for result in batch)


async def _several_tries(url: str) -> None:
    """Return when the store has begun so many statements that one of them must have been a write in vain."""
    seen = set()
    await until(lambda: seen.add(begun(url)) or len(seen) > 4)


async def _deadlocks(url: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "SELECT pg_stat_clear_snapshot(), deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[1])
