"""`python -m adapters.migrate`, as a person or a container runs it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest

from adapters.migrate import main
from tests.support.processes import Server

LOCK = "SELECT pg_advisory_lock(%s)"


class Migration:
    """A run of the command, in a process of its own."""

    def __init__(self, url: str | None, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "adapters.migrate", *arguments],
            env=environment if url is None else environment | {"HOLDFAST_POSTGRES_URL": url},
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """The next line that it says."""
        assert self._process.stderr is not None
        return self._process.stderr.readline()

    def end(self) -> tuple[int, str]:
        """Exit code, and what it still had to say."""
        _, said = self._process.communicate(timeout=60)
        return self._process.returncode, said


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {name for (name,) in found}


@contextlib.contextmanager
def another_migration(url: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(LOCK, [int.from_bytes(b"holdfast") >> 1])
        yield


def test_an_empty_database_gets_the_schema_and_a_second_run_changes_nothing(empty_postgres_url: str) -> None:
    assert Migration(empty_postgres_url).end()[0] == 0
    assert tables(empty_postgres_url) == {"records", "operations", "holdfast_version"}
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute("INSERT INTO records VALUES ('notes', '1', 1, '{}', now(), now())")
    assert Migration(empty_postgres_url).end()[0] == 0
    with psycopg.connect(empty_postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (1,)


def test_several_at_once_are_as_good_as_one(empty_postgres_url: str) -> None:
    runs = [Migration(empty_postgres_url) for _ in range(4)]
    assert [run.end()[0] for run in runs] == [0] * 4


def test_it_waits_for_a_server_that_is_still_starting(private_postgres: Server) -> None:
    private_postgres.stop()
    run = Migration(private_postgres.url)
    assert "waiting for PostgreSQL" in run.line()
    private_postgres.start()
    assert run.end()[0] == 0
    assert "records" in tables(private_postgres.url)


def test_it_gives_up_in_time_and_says_why_without_the_password(private_postgres: Server) -> None:
    private_postgres.stop()
    url = private_postgres.url.replace("postgres@", "postgres:sesame@")
    code, said = Migration(url, "--wait", "0").end()
    assert code == 1
    assert "refused" in said
    assert "sesame" not in said


def test_it_waits_for_another_migration(empty_postgres_url: str) -> None:
    with another_migration(empty_postgres_url):
        run = Migration(empty_postgres_url)
        assert "another migration is running" in run.line()
        assert tables(empty_postgres_url) == set()
    assert run.end()[0] == 0


def test_it_does_not_wait_for_another_migration_for_ever(empty_postgres_url: str) -> None:
    with another_migration(empty_postgres_url):
        code, said = Migration(empty_postgres_url, "--wait", "0.1").end()
    assert code == 1
    assert "lock timeout" in said


def test_one_that_fails_leaves_nothing_behind(empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE operations (ours text)")
    code, said = Migration(empty_postgres_url).end()
    assert code == 1
    assert 'relation "operations" already exists' in said
    assert tables(empty_postgres_url) == {"operations"}


def test_a_schema_newer_than_the_code_is_an_error(empty_postgres_url: str) -> None:
    Migration(empty_postgres_url).end()
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE holdfast_version SET version_num = '9999'")
    code, said = Migration(empty_postgres_url).end()
    assert code == 1
    assert "9999" in said


@pytest.mark.parametrize("value", [None, "", "postgres//ada:sesame@localhost/x"])
def test_without_a_usable_url_it_names_the_variable_and_shows_an_example(value: str | None) -> None:
    code, said = Migration(value).end()
    assert code == 2
    assert "HOLDFAST_POSTGRES_URL" in said
    assert "for example HOLDFAST_POSTGRES_URL=postgresql://" in said
    assert "sesame" not in said


def test_help_tells_what_it_reads_and_its_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "HOLDFAST_POSTGRES_URL" in said
    assert "Exit codes" in said


@pytest.mark.parametrize("wait", ["x", "-1", "1e9"])
def test_a_wait_that_makes_no_sense_is_refused(wait: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--wait", wait])
    assert ended.value.code == 2
    assert "seconds from 0 to 86400" in capsys.readouterr().err


def test_a_store_without_a_schema_needs_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOLDFAST_STORE", "memory")
    assert main([]) == 0
    assert "HOLDFAST_STORE=memory has no schema" in capsys.readouterr().err


def test_a_store_that_nobody_knows_is_not_taken_for_postgres(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOLDFAST_STORE", "postgers")
    assert main([]) == 2
    assert "HOLDFAST_STORE='postgers' must be" in capsys.readouterr().err
