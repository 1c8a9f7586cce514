"""Reads while the primary cannot be asked, from a real streaming replica of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import LiteralString

import httpx
import psycopg
import pytest
import redis

from adapters.assembly import System
from adapters.assembly.servers import make_servers
from adapters.postgres_store import PostgresOptions, PostgresReplicas
from adapters.settings import Settings
from adapters.telemetry import telemetry_of
from api.app import make_app
from api.waiting import Waiting
from holdfast.errors import Abandoned
from holdfast.events import Event
from holdfast.failover import AllEndpointsFailed, NoCandidate
from holdfast.operations.model import Kind, Resource
from tests.support.polling import until
from tests.support.processes import Server
from tests.support.servers import running_standby
from tests.support.stores import PATIENT, create, operation, postgres_store
from tests.support.workers import Site, running_site

FROM_CACHE = "holdfast; hit; detail=store-unavailable"
FROM_REPLICA = "holdfast; fwd=stale; detail=replica"
NOTE = "/v1/records/notes/a"
A = Resource("notes", "a")


@pytest.fixture(scope="module")
def _shared() -> Iterator[tuple[Site, Server]]:
    with running_site() as site, running_standby(site.postgres) as standby:
        yield site, standby


@pytest.fixture
def site(_shared: tuple[Site, Server]) -> Iterator[Site]:
    site, standby = _shared
    yield site
    site.postgres.start()
    standby.thaw()
    standby.start()
    run(standby, "SELECT pg_wal_replay_resume()")
    run(site.postgres, "TRUNCATE records, operations")
    with redis.Redis.from_url(site.valkey.url) as client:
        client.flushall()


@pytest.fixture
def standby(_shared: tuple[Site, Server], site: Site) -> Server:
    return _shared[1]


def run(server: Server, statement: LiteralString) -> object:
    with psycopg.connect(server.url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
    return None if row is None else row[0]


async def until_followed(standby: Server, primary: Server) -> None:
    place = run(primary, "SELECT pg_current_wal_flush_lsn()::text")
    await until(lambda: has_replayed(standby, str(place)))


def has_replayed(standby: Server, place: str) -> bool:
    with psycopg.connect(standby.url) as connection:
        row = connection.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [place]).fetchone()
    return bool(row and row[0])


def forget_the_cache(site: Site) -> None:
    with redis.Redis.from_url(site.valkey.url.removesuffix("0") + "1") as cache:
        cache.flushdb()


@asynccontextmanager
async def api(site: Site, *replicas: str) -> AsyncIterator[tuple[httpx.AsyncClient, System]]:
    chosen = {"postgres_replica_urls": ",".join(replicas) or None, "postgres_replica_timeout": 10.0}
    async with site.system(**chosen) as system:
        settings = Settings(store="memory")
        app = make_app(system, settings, Waiting(settings.max_requests))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://holdfast.test") as http:
            yield http, system


async def test_while_the_primary_is_dead_a_replica_answers_and_says_so_and_takes_no_write(
    site: Site, standby: Server
) -> None:
    async with api(site, standby.url) as (http, system):
        await http.put(NOTE, json={"n": 1})
        live = await http.get(NOTE)
        await system.flush()
        await until_followed(standby, site.postgres)
        forget_the_cache(site)
        site.postgres.kill()
        read = await http.get(NOTE)
        assert (read.status_code, read.json()) == (200, live.json())
        assert (read.headers["cache-status"], read.headers["etag"]) == (FROM_REPLICA, '"1"')
        assert 0 <= int(read.headers["age"]) < 60
        told = (await http.get("/metrics")).text
        assert 'holdfast_replica_reads_total{result="hit"} 1.0' in told
        assert "holdfast_replica_answer_age_seconds_count 1.0" in told
        assert "holdfast_cache_answer_age_seconds_count 0.0" in told
        held = await http.put(NOTE, json={"n": 2})
        again = await http.get(NOTE)
        assert (held.status_code, again.json()["data"]) == (202, {"n": 1})
        assert again.headers["holdfast-pending"] == held.json()["id"]
        forget_the_cache(site)
        foreseen = await http.get(NOTE, params={"pending": "apply"})
        assert (foreseen.json()["data"], foreseen.headers["cache-status"]) == ({"n": 2}, FROM_REPLICA)
    assert "cache-status" not in live.headers


async def test_a_cache_that_knows_better_than_a_replica_wins(site: Site, standby: Server) -> None:
    async with api(site, standby.url) as (http, system):
        await http.put(NOTE, json={"n": 1})
        await until_followed(standby, site.postgres)
        run(standby, "SELECT pg_wal_replay_pause()")
        await http.put(NOTE, json={"n": 2})
        await system.flush()
        system.breakers["store"].isolate()
        read = await http.get(NOTE)
        assert (read.json()["version"], read.headers["cache-status"]) == (2, FROM_CACHE)
        forget_the_cache(site)
        behind = await http.get(NOTE)
        assert (behind.json()["version"], behind.headers["cache-status"]) == (1, FROM_REPLICA)


async def test_what_a_replica_has_shown_stays_known_when_it_is_lost_too(site: Site, standby: Server) -> None:
    async with api(site, standby.url) as (http, system):
        await http.put(NOTE, json={"n": 1})
        await system.flush()
        async with postgres_store(site.postgres.url) as other:
            await other.apply([operation(Kind.REPLACE, "a", {"n": 2})])
        await until_followed(standby, site.postgres)
        system.breakers["store"].isolate()
        shown = await http.get(NOTE)
        standby.kill()
        later = await http.get(NOTE)
        assert (shown.json()["version"], shown.headers["cache-status"]) == (2, FROM_REPLICA)
        assert (later.json(), later.headers["cache-status"]) == (shown.json(), FROM_CACHE)
        assert int(later.headers["age"]) >= int(shown.headers["age"])


async def test_a_replica_knows_of_a_delete_but_what_it_has_not_may_be_there_all_the_same(
    site: Site, standby: Server
) -> None:
    async with api(site, standby.url) as (http, system):
        await http.put(NOTE, json={"n": 1})
        await http.delete(NOTE)
        await system.flush()
        await until_followed(standby, site.postgres)
        forget_the_cache(site)
        system.breakers["store"].isolate()
        gone, unknown = await http.get(NOTE), await http.get("/v1/records/notes/b")
        assert (gone.status_code, gone.headers["cache-status"]) == (404, FROM_REPLICA)
        assert (unknown.status_code, unknown.json()["type"]) == (503, "/problems/unavailable")


async def test_without_a_replica_that_answers_reads_come_from_the_cache_as_ever(site: Site, standby: Server) -> None:
    standby.kill()
    for replicas in ((standby.url,), (standby.url, standby.url), ()):
        async with api(site, *replicas) as (http, system):
            await http.put(NOTE, json={"n": 1})
            await system.flush()
            system.breakers["store"].isolate()
            for _ in range(5):
                read = await http.get(NOTE)
                assert (read.status_code, read.headers["cache-status"]) == (200, FROM_CACHE)
            assert (await http.get("/v1/records/notes/b")).status_code == 503


async def test_while_the_primary_answers_no_replica_is_asked(site: Site, standby: Server) -> None:
    asked: LiteralString = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holdfast'"
    await until(lambda: run(standby, asked) == 0)  # the tests before have left
    async with api(site, standby.url) as (http, system):
        await http.put(NOTE, json={"n": 1})
        assert "cache-status" not in (await http.get(NOTE)).headers
        assert run(standby, asked) == 0
        system.breakers["store"].isolate()
        await http.get(NOTE)
        assert run(standby, asked) == 1


def test_where_no_replica_is_named_none_is_made(site: Site) -> None:
    given = {name.removeprefix("HOLDFAST_").lower(): value for name, value in site.settings.items()}
    servers = make_servers(Settings.model_validate(given), lambda event: None, telemetry_of("api", 0.0, {}))
    assert servers.replicas is None


async def test_one_that_is_frozen_costs_a_short_while_and_is_then_left_alone(site: Site, standby: Server) -> None:
    told: list[str] = []

    def listen(event: Event) -> None:
        told.append(event.name)

    standby.freeze()
    replicas = PostgresReplicas([PostgresOptions(standby.url, **PATIENT)], timeout=0.1, listener=listen)
    for _ in range(3):
        with pytest.raises(AllEndpointsFailed) as failed:
            await replicas.read([A])
        assert [type(error) for error in failed.value.exceptions] == [Abandoned]
    with pytest.raises(NoCandidate):
        await replicas.read([A])
    assert "endpoint.ejected" in told
    await replicas.close()


async def test_a_read_that_a_replica_breaks_off_to_follow_its_primary_goes_to_the_next(
    site: Site, standby: Server, empty_postgres_url: str
) -> None:
    async with postgres_store(site.postgres.url) as store:
        await store.apply([create("a", {"n": 1})])
    await until_followed(standby, site.postgres)
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION broken_off() RETURNS text LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'conflict with recovery' USING ERRCODE = '40001'; END $$"
        )
        connection.execute(
            "CREATE VIEW records AS SELECT broken_off() AS collection, 'a' AS id, 1::bigint AS version,"
            " '{}'::jsonb AS data, now() AS created_at, now() AS updated_at, now() AS ungated_at"
        )
    options = [PostgresOptions(url, **PATIENT) for url in (empty_postgres_url, standby.url)]
    replicas, alone = PostgresReplicas(options, timeout=20.0), PostgresReplicas(options[:1], timeout=20.0)
    for _ in range(2):
        (found,) = await replicas.read([A])
        assert found is not None
        assert found.record.data == {"n": 1}
    with pytest.raises(AllEndpointsFailed):
        await alone.read([A])
    for each in (replicas, alone):
        await each.close()


async def test_what_cannot_tell_how_far_it_has_come_knows_the_record_since_its_last_change(site: Site) -> None:
    async with postgres_store(site.postgres.url) as store:
        await store.apply([replace(create("a"), accepted_at=1_700_000_000.0)])
    replicas = PostgresReplicas([PostgresOptions(site.postgres.url, **PATIENT)], timeout=20.0)
    (found,) = await replicas.read([A])
    assert found is not None
    assert found.stored_at == found.record.updated_at
    await replicas.close()
