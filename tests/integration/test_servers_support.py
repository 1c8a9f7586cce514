"""The servers that other tests rely on: they start, survive a kill with their data, and freeze."""

from __future__ import annotations

import psycopg
import pytest
import redis

from tests.support.processes import Server


def test_postgres_keeps_its_data_and_its_url_over_a_kill(private_postgres: Server) -> None:
    with psycopg.connect(private_postgres.url) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS n")
    private_postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(private_postgres.url)
    private_postgres.start()
    with psycopg.connect(private_postgres.url) as connection:
        assert connection.execute("SELECT n FROM t").fetchall() == [(1,)]


def test_a_frozen_postgres_answers_again_when_it_is_thawed(private_postgres: Server) -> None:
    private_postgres.freeze()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(private_postgres.url, connect_timeout=2)
    private_postgres.thaw()
    psycopg.connect(private_postgres.url).close()


def test_valkey_keeps_its_data_and_its_url_over_a_kill(private_valkey: Server) -> None:
    with redis.Redis.from_url(private_valkey.url) as client:
        client.set("n", 1)
        private_valkey.kill()
        with pytest.raises(redis.ConnectionError):
            client.get("n")
        private_valkey.start()
        assert client.get("n") == b"1"


def test_databases_of_the_session_are_empty(empty_postgres_url: str, valkey_url: str) -> None:
    with psycopg.connect(empty_postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_stat_user_tables").fetchone() == (0,)
    with redis.Redis.from_url(valkey_url) as client:
        assert client.dbsize() == 0
