"""The store while its server is killed, restarted, read-only or not ready yet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import LiteralString

import psycopg
import pytest

from adapters.migrate import migrate
from adapters.postgres_store import PostgresOptions, PostgresStore
from holdfast.errors import OutcomeUnknown, Transient, Unavailable
from holdfast.operations.model import Applied, Kind, Resource
from tests.support.polling import until, until_seen
from tests.support.processes import Server
from tests.support.stores import connections, create, merge, operation, postgres_store, waiting_for_a_lock

A = Resource("notes", "a")


@pytest.fixture
async def store(private_postgres: Server) -> AsyncIterator[PostgresStore]:
    migrate(private_postgres.url)
    async with postgres_store(private_postgres.url, pool_size=4) as store:
        yield store


async def fill_pool(store: PostgresStore, url: str) -> None:
    async def is_full() -> bool:
        await asyncio.gather(*(store.ping() for _ in range(4)))
        return connections(url) == 4

    await until_seen(is_full)


async def test_a_store_is_made_and_refuses_while_its_server_is_down_and_works_when_it_is_up(
    private_postgres: Server,
) -> None:
    private_postgres.stop()
    async with postgres_store(private_postgres.url) as store:
        for call in (
            lambda: store.apply([create("a")]),
            lambda: store.read([A]),
            lambda: store.page("notes", after=None, limit=1),
            lambda: store.prune(before=0.0, limit=1),
            store.ping,
        ):
            with pytest.raises(Unavailable):
                await call()
        private_postgres.start()
        migrate(private_postgres.url)
        assert isinstance((await store.apply([create("a")]))[0], Applied)


async def test_a_store_whose_tables_are_not_there_yet_is_unavailable(private_postgres: Server) -> None:
    async with postgres_store(private_postgres.url) as store:
        for call in (store.ping, lambda: store.apply([create("a")]), lambda: store.read([A])):
            with pytest.raises(Unavailable):
                await call()
        migrate(private_postgres.url)
        await store.ping()
        assert isinstance((await store.apply([create("a")]))[0], Applied)


async def test_connections_that_a_restart_has_made_stale_hurt_nobody(
    store: PostgresStore, private_postgres: Server
) -> None:
    for end in (private_postgres.stop, private_postgres.kill):
        await fill_pool(store, private_postgres.url)
        end()
        private_postgres.start()
        results = await asyncio.gather(*(store.apply([create(f"{end.__name__}{n}")]) for n in range(4)))
        assert all(isinstance(result, Applied) and not result.replayed for (result,) in results)


async def test_connections_that_an_administrator_ends_hurt_nobody(
    store: PostgresStore, private_postgres: Server
) -> None:
    await fill_pool(store, private_postgres.url)
    with psycopg.connect(private_postgres.url, autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'holdfast'"
        )
    assert await store.read([A]) == [None]
    results = await asyncio.gather(*(store.apply([create(f"n{n}")]) for n in range(4)))
    assert all(isinstance(result, Applied) for (result,) in results)


async def test_a_server_killed_in_the_middle_of_a_write_leaves_it_unknown_and_a_repeat_settles_it(
    store: PostgresStore, private_postgres: Server
) -> None:
    url = private_postgres.url
    one = create("b")
    somebody = await psycopg.AsyncConnection.connect(url)
    await somebody.execute("INSERT INTO records VALUES ('notes', 'b', 1, '{}', now(), now())")
    applying = asyncio.ensure_future(store.apply([create("a"), one]))
    await until(lambda: waiting_for_a_lock(url))
    private_postgres.kill()
    with pytest.raises(OutcomeUnknown):
        await applying
    await somebody.close()
    private_postgres.start()
    (result,) = await store.apply([one])
    assert isinstance(result, Applied)
    assert result.record.version == 1


async def test_what_was_acknowledged_before_a_kill_is_there_after_it(
    store: PostgresStore, private_postgres: Server
) -> None:
    acknowledged = [0, 0, 0]
    applying = asyncio.gather(*(_keep_replacing(store, f"{n}", acknowledged) for n in range(3)))
    await until(lambda: min(acknowledged) > 5)
    private_postgres.kill()
    await applying
    private_postgres.start()
    records = await store.read([Resource("notes", f"{n}") for n in range(3)])
    for record, version in zip(records, acknowledged, strict=True):
        assert record is not None
        assert record.version in (version, version + 1)


async def _keep_replacing(store: PostgresStore, id_: str, acknowledged: list[int]) -> None:
    """Until the store goes away; note the last version that was acknowledged."""
    with contextlib.suppress(Transient):
        while True:
            (result,) = await store.apply([operation(Kind.REPLACE, id_, {})])
            assert isinstance(result, Applied)
            acknowledged[int(id_)] = result.record.version


async def test_a_read_only_server_takes_reads_and_says_that_it_takes_no_writes(
    store: PostgresStore, private_postgres: Server
) -> None:
    url = private_postgres.url
    await store.apply([create("a")])
    await _set_read_only(url, "on")
    with pytest.raises(Unavailable):
        await store.ping()
    with pytest.raises(Unavailable):
        await store.apply([merge("a", {"n": 1})])
    # Where there are several servers, a new connection may find the one that takes writes.
    await until(lambda: connections(url) == 0)
    assert (await store.read([A]))[0] is not None
    await _set_read_only(url, "off")
    await store.ping()
    assert isinstance((await store.apply([merge("a", {"n": 1})]))[0], Applied)


async def _set_read_only(url: str, value: LiteralString) -> None:
    with psycopg.connect(url, autocommit=True) as administrator:
        administrator.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        administrator.execute("SELECT pg_reload_conf()")
    await until(lambda: _read_only(url) == value)


def _read_only(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW default_transaction_read_only").fetchone()
    assert row is not None
    return str(row[0])


async def test_a_server_without_room_for_another_connection_is_unavailable(
    store: PostgresStore, private_postgres: Server
) -> None:
    with psycopg.connect(private_postgres.url, autocommit=True) as administrator:
        administrator.execute("CREATE ROLE guest LOGIN CONNECTION LIMIT 0")
    async with postgres_store(private_postgres.url.replace("postgres@", "guest@")) as guest:
        with pytest.raises(Unavailable):
            await guest.apply([create("a")])


async def test_a_busy_pool_is_unavailable_in_time(private_postgres: Server) -> None:
    migrate(private_postgres.url)
    async with postgres_store(private_postgres.url, pool_size=1, pool_timeout=0.1) as store:
        async with await psycopg.AsyncConnection.connect(private_postgres.url) as somebody:
            await somebody.execute("LOCK TABLE operations IN ACCESS EXCLUSIVE MODE")
            applying = asyncio.ensure_future(store.apply([create("a")]))
            await until(lambda: waiting_for_a_lock(private_postgres.url))
            with pytest.raises(Unavailable, match="busy"):
                await store.read([A])
        assert isinstance((await applying)[0], Applied)


async def test_nothing_is_left_at_the_server_after_closing(private_postgres: Server) -> None:
    migrate(private_postgres.url)
    async with postgres_store(private_postgres.url, pool_size=4) as store:
        await fill_pool(store, private_postgres.url)
    await until(lambda: connections(private_postgres.url) == 0)


@pytest.mark.parametrize("url", ["host", "postgresql://[::1/x", "postgresql://h/x?no_such_option=1"])
def test_a_url_that_cannot_be_read_is_an_error_at_once(url: str) -> None:
    with pytest.raises(psycopg.ProgrammingError):
        PostgresStore(PostgresOptions(url))


async def test_nobody_at_the_address_is_unavailable() -> None:
    for url in ("postgresql://holdfast@nowhere.invalid/x", "postgresql://holdfast@127.0.0.1:1/x"):
        async with postgres_store(url) as store:
            with pytest.raises(Unavailable):
                await store.ping()
